//! Nothing of its own: the cases are in `ui/`, the test that compiles them is in `tests/`. The README's code is compiled as
//! documentation of this package.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
