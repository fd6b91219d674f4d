//! The program in shells, services and containers that are not as usual.

use std::process::Command;

mod place;

use place::{Place, boots, minimal, stderr};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs a command that boots a guest, and returns what it says. Nothing is left of it.
fn boot(place: &Place, command: &mut Command) -> String {
    let minimal = minimal();
    let output = command.args(boots(&minimal)).output().unwrap();
    place.assert_nothing_is_left();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    said
}

/// Root of a user namespace can give QEMU no other user there, and has the jail of an ordinary user.
#[test]
fn root_of_a_user_namespace_has_a_jail() {
    let place = Place::new();
    let said = boot(&place, &mut place.behind(&["unshare", "--user", "--map-root-user", "--"]));
    assert!(said.contains("isolation       jail"), "{said}");
    let output = place.behind(&["unshare", "--user", "--map-root-user", "--"]).arg("--print-facts").output().unwrap();
    assert!(stderr(&output).contains("root: no, it is root of a user namespace without the users"), "{output:?}");
}

/// Whose /proc is another namespace's is told before anything is started.
#[test]
fn a_foreign_proc_is_told() {
    let place = Place::new();
    let unshare = if is_root() { &["unshare", "--pid", "--fork"][..] } else { &["unshare", "-r", "--pid", "--fork"] };
    let minimal = minimal();
    let output = place.behind(unshare).args(boots(&minimal)).output().unwrap();
    place.assert_nothing_is_left();
    let said = stderr(&output);
    assert!(said.contains("processes cannot be seen") && said.contains("unshare --mount-proc"), "{said}");
    assert_eq!(output.status.code(), Some(2), "{said}");
}

#[test]
fn a_umask_takes_nothing_from_its_owner() {
    for umask in ["077", "002", "777"] {
        let place = Place::new();
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        boot(&place, &mut place.behind(&["sh", "-c", &script]));
    }
}

/// A variable that is set to nothing is not set, and one that helps nobody is told of.
#[test]
fn variables_that_name_no_directory() {
    let place = Place::new();
    let dry = |runtime: &str, temporary: &str| {
        let mut command = place.command();
        command.env("XDG_RUNTIME_DIR", runtime).env("TMPDIR", temporary).args(["--dry-run", "--emulate"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(dry("", "").contains("/tmp/vm-sandbox-XXXXXX/overlay.qcow2"));
    // Root passes over the session's directory, whatever it is.
    if !is_root() {
        let relative = boot(&place, place.command().env("XDG_RUNTIME_DIR", "relative"));
        assert!(relative.contains("XDG_RUNTIME_DIR, `relative`, is relative"), "{relative}");
    }
    let nothing = boot(&place, place.command().env("XDG_RUNTIME_DIR", ""));
    assert!(!nothing.contains("XDG_RUNTIME_DIR"), "{nothing}");
}

/// A jail that does not work here is missed with its reason.
#[test]
fn why_there_is_no_jail_is_said() {
    let place = Place::new();
    place.script("bwrap", "#!/bin/sh\necho no jail today >&2\nexit 1\n");
    let path = format!("{}:{}", place.dir.path().display(), std::env::var("PATH").unwrap());
    let said = boot(&place, place.command().env("PATH", path));
    assert!(said.contains("isolation       namespaces") && said.contains("a jail needs bubblewrap"), "{said}");
    assert!(said.contains("note: bwrap: no, `bwrap` ended with exit status 1: no jail today"), "{said}");
}
