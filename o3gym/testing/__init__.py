"""Conformance checks for plug-ins: run them on your own tools, dialects, suites, policies, rewards, ….

Each `check_*` raises AssertionError with a message that says which expectation is violated. The package's own tests run
them over its registries. `o3gym check KIND:NAME` runs the one for that kind of plug-in; the name is a registered one or
"package.module:Class".
"""

from o3gym.testing.acting import (
    check_code_rule,
    check_control,
    check_dialect,
    check_env,
    check_policy,
    check_size_rule,
    check_time_rule,
    check_tool,
)
from o3gym.testing.episodes import play, random_steps
from o3gym.testing.pictures import (
    check_demonstrations,
    check_detector,
    check_generated_size,
    check_generator,
    check_operation,
    check_suite,
)
from o3gym.testing.plugins import check
from o3gym.testing.scoring import check_export, check_judge, check_measure, check_reward

__all__ = [
    "check",
    "check_code_rule",
    "check_control",
    "check_demonstrations",
    "check_detector",
    "check_dialect",
    "check_env",
    "check_export",
    "check_generated_size",
    "check_generator",
    "check_judge",
    "check_measure",
    "check_operation",
    "check_policy",
    "check_reward",
    "check_size_rule",
    "check_suite",
    "check_time_rule",
    "check_tool",
    "play",
    "random_steps",
]
