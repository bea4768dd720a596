"""Questions that need several parts of a picture, after O3-Bench: written by models, checked by rules, read by people.

`making` runs all steps: `sheets` reads pictures with layouts, `notes` has the layouts described, `proposals` has
questions written from the notes, `validation` finds their flaws, `solving` drops the easy ones, and `review` and `page`
present the rest to people. `rows` holds the row format of the suite `o3-bench`, and `prompts` all prompts.
"""
