"""The command line: `o3gym list | bench | compare | export | view | check | train | synth`. One module per command."""
