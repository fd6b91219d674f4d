//! What the README shows of a mistake is a case, and its message.

#[test]
fn the_mistake_in_the_readme_is_a_case() {
    let readme = include_str!("../../README.md");
    let case = include_str!("../ui/console/virtconsole_after_isa_serial.rs");
    let message = include_str!("../ui/console/virtconsole_after_isa_serial.stderr");
    assert!(readme.contains(&format!("```rust,ignore\n{case}```")), "the README shows the case");
    let own = message.split("\nnote: required by a bound").next().unwrap();
    assert!(readme.contains(&format!("```text\n{own}\n```")), "the README shows the message");
}
