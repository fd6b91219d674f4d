//! Nothing of its own: the cases are in `ui/`, the test that compiles them is in `tests/`.
