"""The tests. `tests.fakes` and the case files are shared; everything else mirrors what it tests."""
