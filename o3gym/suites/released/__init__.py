"""Published benchmarks and training sets, read from the files that their authors released. One file per benchmark."""
