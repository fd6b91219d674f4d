//! Directories of machines: whose they are, what is in them, and what is left of them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, mknod};
use qemu_dsl::launch::{WorkDir, WorkDirError};

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn work_directories() {
    let parent = tempfile::tempdir().unwrap();
    let own = WorkDir::create(parent.path(), "job").unwrap();
    assert_eq!(mode(own.path()), 0o700);
    let shared = WorkDir::create(parent.path(), "job").unwrap();
    drop(shared.create_file("disk").unwrap());
    shared.give_to_group(nix::unistd::getegid().as_raw(), &["disk"]).unwrap();
    assert_eq!((mode(shared.path()), mode(&shared.path().join("disk"))), (0o3770, 0o660));
    drop((own, shared));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    assert!(WorkDir::create(&parent.path().join("none"), "job").is_err());
}

/// What the directory's owner has not put there himself is not followed, opened or given away.
#[test]
fn files_of_a_work_directory_are_its_own() {
    let parent = tempfile::tempdir().unwrap();
    let victim = parent.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let dir = WorkDir::create(parent.path(), "job").unwrap();
    let at = |name: &str| dir.path().join(name);
    symlink(&victim, at("console.log")).unwrap();
    std::io::Write::write_all(&mut dir.create_file("console.log").unwrap(), b"log").unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "the link was replaced, not followed");
    assert_eq!(std::fs::read(at("console.log")).unwrap(), b"log");
    symlink(&victim, at("disk")).unwrap();
    assert!(dir.open_file("disk").is_err() && dir.give_to_group(0, &["disk"]).is_err());
    std::fs::hard_link(&victim, at("other-name")).unwrap();
    assert!(dir.give_to_group(nix::unistd::getegid().as_raw(), &["other-name"]).is_err());
    mknod(&at("fifo"), SFlag::S_IFIFO, Mode::S_IRUSR | Mode::S_IWUSR, 0).unwrap();
    assert!(dir.open_file("fifo").is_err(), "and it is not waited for");
    std::fs::create_dir(at("directory")).unwrap();
    drop(dir.create_file("directory").unwrap());
    assert!(at("directory").is_file(), "whatever had that name is gone");
    assert_eq!(mode(&victim), 0o644);
}

#[test]
fn a_directory_is_one_machines_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o750)).unwrap();
    std::fs::write(dir.join("disk"), "").unwrap();
    let first = WorkDir::open(&dir).unwrap();
    let error = WorkDir::open(&dir).unwrap_err();
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(error, WorkDirError::InUse { pid, .. } if pid == Some(own)), "{error}");
    first.give_to_group(nix::unistd::getegid().as_raw(), &["disk"]).unwrap();
    assert_eq!((mode(&dir), mode(&dir.join("disk"))), (0o3770, 0o660));
    drop(first);
    assert_eq!((mode(&dir), mode(&dir.join("disk"))), (0o750, 0o644), "what stays is as it was");
    WorkDir::open(&dir).unwrap();
    assert!(matches!(WorkDir::open(&dir.join("disk")), Err(WorkDirError::Open { .. })));
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
    assert!(matches!(WorkDir::open(&dir), Err(WorkDirError::Unsafe { .. })), "anybody could exchange the disk");
}

/// What killed owners have left is removed; what is somebody's, or only has such a name, stays.
#[test]
fn stale_directories_are_swept() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    // What a killed owner leaves is a directory that was made, and is locked no more.
    let made = WorkDir::create(parent.path(), "old").unwrap();
    std::fs::create_dir(at("vm-old-abc123")).unwrap();
    std::fs::copy(made.path().join(".qemu-dsl"), at("vm-old-abc123").join(".qemu-dsl")).unwrap();
    drop(made);
    for name in ["vm-images-backup", "vm-other", "xvm-old-abc123"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("precious"), "").unwrap();
    }
    symlink(at("vm-other"), at("vm-link-abc123")).unwrap();
    let alive = WorkDir::create(parent.path(), "alive").unwrap();
    assert!(!at("vm-old-abc123").exists());
    let new = WorkDir::create(parent.path(), "new").unwrap();
    for path in [alive.path(), new.path(), &at("vm-link-abc123")] {
        assert!(path.is_dir(), "{}", path.display());
    }
    for name in ["vm-images-backup", "vm-other", "xvm-old-abc123"] {
        assert!(at(name).join("precious").is_file(), "{name} is the user's own");
    }
}

/// However many directories others have planted, the own ones are found.
#[test]
fn planted_names_do_not_keep_the_sweep_from_its_work() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root makes directories of others
    }
    let parent = tempfile::tempdir().unwrap();
    for number in 0..400 {
        let planted = parent.path().join(format!("vm-a-{number:06}"));
        std::fs::create_dir(&planted).unwrap();
        std::os::unix::fs::chown(&planted, Some(65534), None).unwrap();
    }
    let made = WorkDir::create(parent.path(), "z").unwrap();
    let stale = parent.path().join("vm-z-stale0");
    std::fs::create_dir(&stale).unwrap();
    std::fs::copy(made.path().join(".qemu-dsl"), stale.join(".qemu-dsl")).unwrap();
    drop(WorkDir::create(parent.path(), "z").unwrap());
    assert!(!stale.exists());
}

/// A machine may fill its directory with anything: it goes all the same.
#[test]
fn a_directory_of_any_depth_goes() {
    let parent = tempfile::tempdir().unwrap();
    let dir = WorkDir::create(parent.path(), "deep").unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    for _ in 0..5000 {
        std::fs::create_dir("d").unwrap();
        std::env::set_current_dir("d").unwrap();
    }
    std::env::set_current_dir("/").unwrap();
    // Where it would take a stack, this is a small one.
    std::thread::Builder::new().stack_size(128 * 1024).spawn(move || drop(dir)).unwrap().join().unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn names_are_no_paths() {
    let parent = tempfile::tempdir().unwrap();
    let victim = parent.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    assert!(matches!(WorkDir::create(parent.path(), "a/../../b"), Err(WorkDirError::Make { .. })));
    let dir = WorkDir::create(parent.path(), "job").unwrap();
    for name in [victim.to_str().unwrap(), "../victim", "..", ".", "", "a\0b"] {
        assert!(
            dir.create_file(name).is_err() && dir.open_file(name).is_err() && dir.remove(name).is_err(),
            "{name:?}"
        );
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

/// What stays is as it was, whatever a machine has left in it, and however often it was given.
#[test]
fn a_directory_that_stays_is_no_trap() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("d");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(path.join("disk"), "").unwrap();
    let dir = WorkDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700, "nobody else enters meanwhile");
    let group = nix::unistd::getegid().as_raw();
    dir.give_to_group(group, &["disk"]).unwrap();
    dir.give_to_group(group, &["disk"]).unwrap();
    std::fs::create_dir(path.join("sub")).unwrap();
    for name in ["program", "sub/program"] {
        std::fs::write(path.join(name), "").unwrap();
        std::fs::set_permissions(path.join(name), PermissionsExt::from_mode(0o6755)).unwrap();
    }
    drop(dir);
    assert_eq!((mode(&path), mode(&path.join("disk"))), (0o755, 0o644));
    assert_eq!((mode(&path.join("program")), mode(&path.join("sub/program"))), (0o755, 0o755));
    // A killed owner has given nothing back.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o3770)).unwrap();
    drop(WorkDir::open(&path).unwrap());
    assert_eq!(mode(&path), 0o700);
    // Names are removed whatever stands there.
    let dir = WorkDir::open(&path).unwrap();
    std::fs::create_dir_all(path.join("qmp.sock/deep")).unwrap();
    dir.remove("qmp.sock").unwrap();
    dir.remove("qmp.sock").unwrap();
    assert!(!path.join("qmp.sock").exists());
}

/// Somebody who can rename a directory on the way could put another one in its place.
#[test]
fn a_parent_of_somebody_else_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let open = parent.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::create_dir(open.join("below")).unwrap();
    for (bits, fine) in [(0o777, false), (0o1777, true), (0o755, true)] {
        std::fs::set_permissions(&open, PermissionsExt::from_mode(bits)).unwrap();
        for dir in [&open, &open.join("below")] {
            let made = WorkDir::create(dir, "job");
            assert_eq!(made.is_ok(), fine, "{bits:o}: {made:?}");
            assert!(fine || matches!(made, Err(WorkDirError::Unsafe { .. })));
        }
    }
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&open, Some(65534), None).unwrap();
        assert!(matches!(WorkDir::open(&open.join("below")), Err(WorkDirError::Unsafe { .. })), "the way is his");
        assert!(matches!(WorkDir::create(&open, "job"), Err(WorkDirError::Unsafe { .. })), "it is another user's");
    }
}
