"""Questions that need several parts of a picture, after O3-Bench: written by models, checked by rules, read by people.

`making` runs the whole: `sheets` come in, `notes` are taken of their layouts, `proposals` are written from the notes,
`validation` says what is wrong with them, the difficulty filter and a quota thin them out, `review` and `page` hand
them to people. `rows` has the form in which the suite `o3-bench` reads them. `asking` keeps what was asked.
"""
