//! Images that name other files: what QEMU reads through them, and that the library sees every name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qemu_dsl::accel::Architecture;
use qemu_dsl::backend::{Drive, Format};
use qemu_dsl::image::{Allowed, Image, ImageError, Role};
use qemu_dsl::opts;
use serde_json::Value;
use tempfile::TempDir;
use tests::{Qemu, qemus};

const SECRET: &[u8] = b"root:SECRET-FROM-HOST";
const BASE: &[u8] = b"what the base has";
/// The size of all disks here.
const SIZE: u64 = 1 << 20;

struct Images {
    dir: TempDir,
    img: OsString,
}

impl Images {
    /// With this QEMU's own qemu-img, and two raw disks: one that a guest may read, and one that it may not.
    fn new(qemu: &Qemu) -> Self {
        let binary = PathBuf::from(qemu.binary(Architecture::X86_64));
        let images = Self { dir: tempfile::tempdir().unwrap(), img: binary.with_file_name("qemu-img").into() };
        for (name, text) in [("secret", SECRET), ("base", BASE)] {
            let mut disk = text.to_vec();
            disk.resize(usize::try_from(SIZE).unwrap(), b'.');
            std::fs::write(images.at(name), disk).unwrap();
        }
        images
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = Command::new(&self.img).args(args).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "qemu-img {args:?}: {output:?}");
        output.stdout
    }

    /// A qcow2 image that names `backing`, as a stranger would make it: nobody looks whether that exists.
    fn naming(&self, name: &str, backing: &str, format: Option<&str>) -> PathBuf {
        let size = SIZE.to_string();
        self.run(&["create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", format.unwrap_or("raw"), name, &size]);
        let path = self.at(name);
        if format.is_none() {
            // qemu-img insists on a format, so the header extension that says it becomes one that nobody knows.
            let mut image = std::fs::read(&path).unwrap();
            let at = image.windows(4).position(|bytes| bytes == b"\xe2\x79\x2a\xca").unwrap();
            image[at] = 1;
            std::fs::write(&path, image).unwrap();
        }
        path
    }

    /// One with an external data file.
    fn with_data_file(&self, name: &str, data: &str) -> PathBuf {
        let options = format!("data_file={data},data_file_raw=on,preallocation=metadata");
        // qemu-img makes the data file anew: what is in it comes back behind it.
        let kept = std::fs::read(self.at(data)).unwrap();
        self.run(&["create", "-q", "-f", "qcow2", "-o", &options, name, &SIZE.to_string()]);
        std::fs::write(self.at(data), kept).unwrap();
        self.at(name)
    }
}

/// What the disk's first bytes are for a guest of this QEMU, or what QEMU says instead.
fn first_bytes(qemu: &Qemu, dir: &Path, drive: &Drive<'_>) -> Result<Vec<u8>, String> {
    let mut text = opts::to_text(drive).unwrap();
    text.extend_from_slice(b",id=hd0");
    let mut child = Command::new(qemu.binary(Architecture::X86_64))
        .args(["-M", "none", "-nodefaults", "-no-user-config", "-S", "-display", "none", "-monitor", "stdio", "-drive"])
        .arg(OsStr::from_bytes(&text))
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = b"qemu-io hd0 \"read -v 0 32\"\nquit\n";
    // A QEMU that has refused the drive reads nothing more.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), asked);
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // 00000000:  72 6f 6f 74 ...  root
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("000000")?.get(2..)?.strip_prefix(":  "));
    let words = lines.flat_map(|line| line.get(..48).unwrap_or(line).split_whitespace());
    let bytes: Vec<u8> = words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect();
    assert_eq!(bytes.len(), 32, "{text}");
    Ok(bytes)
}

fn starts_with(found: &Result<Vec<u8>, String>, wanted: &[u8]) -> bool {
    found.as_ref().is_ok_and(|found| found.starts_with(wanted))
}

/// The twin: without a rule QEMU reads the host's file, and with one it does not.
#[test]
fn a_drive_opens_what_the_host_says() {
    for qemu in qemus() {
        let images = Images::new(&qemu);
        let secret = images.at("secret");
        let evil = images.naming("evil", secret.to_str().unwrap(), Some("raw"));
        let another = images.naming("another", secret.to_str().unwrap(), Some("raw"));
        let base = images.at("base");
        let read = |drive: Drive<'_>| first_bytes(&qemu, images.dir.path(), &drive);
        let drive = |path| Drive::new(path, Format::Qcow2);
        assert!(starts_with(&read(drive(&evil)), SECRET), "QEMU {}: as the image wants", qemu.version);
        for (drive, wanted) in [
            (drive(&evil).standalone(), &[0; 32][..]),
            (drive(&evil).backed_by(&base, Format::Raw), BASE),
            // The backing file that is named here wants another one itself.
            (drive(&evil).backed_by(&another, Format::Qcow2), &[0; 32]),
        ] {
            let found = read(drive.clone());
            assert!(starts_with(&found, wanted), "QEMU {}: {drive:?}: {found:?}", qemu.version);
        }
        let alone = images.at("alone");
        images.run(&["create", "-q", "-f", "qcow2", "alone", "1M"]);
        assert!(starts_with(&read(drive(&alone).standalone()), &[0; 32]), "nothing is lost");
        assert!(starts_with(&read(Drive::new(&base, Format::Raw).standalone()), BASE));
    }
}

/// Nothing that QEMU is told keeps it from an external data file: that is for the check.
#[test]
fn an_external_data_file_is_refused_by_the_check_only() {
    for qemu in qemus() {
        let images = Images::new(&qemu);
        let evil = images.with_data_file("evil", "secret");
        let found = first_bytes(&qemu, images.dir.path(), &Drive::new(&evil, Format::Qcow2).standalone());
        assert!(starts_with(&found, SECRET), "QEMU {}: {found:?}", qemu.version);
        for allowed in [Allowed::nothing(), Allowed::only(images.at("secret"))] {
            let error = Image::read(&evil).unwrap().check(&allowed).unwrap_err();
            assert!(matches!(error, ImageError::Names { role: Role::Data, .. }), "{error}");
            assert!(error.to_string().contains("qemu-img convert"), "{error}");
        }
    }
}

/// What is read of a header is what qemu-img says of it.
#[test]
fn headers_say_what_qemu_img_says() {
    for qemu in qemus() {
        let images = Images::new(&qemu);
        let secret: &[&str] = &[
            "create",
            "-q",
            "--object",
            "secret,id=s0,data=sixteen-bytes-ok",
            "-f",
            "qcow2",
            "-o",
            "encrypt.format=aes,encrypt.key-secret=s0",
            "aes",
            "1M",
        ];
        images.run(secret);
        images.run(&["create", "-q", "-f", "qcow2", "-o", "compat=0.10", "old", "3M"]);
        images.run(&["create", "-q", "-f", "qcow2", "-o", "cluster_size=512", "small", "1M"]);
        images.run(&["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", "big", "1G"]);
        images.run(&["snapshot", "-c", "one", "big"]);
        images.run(&["create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-b", "base", "-F", "raw", "old-overlay"]);
        images.naming("overlay", "base", Some("raw"));
        images.naming("guess", "/etc/passwd", None);
        images.naming(
            "json",
            "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"base\"}}",
            Some("raw"),
        );
        images.naming("nbd", "nbd://127.0.0.1:1/x", Some("raw"));
        images.with_data_file("data", "base");
        for name in ["aes", "old", "small", "big", "old-overlay", "overlay", "guess", "json", "nbd", "data", "base"] {
            let image = Image::read(&images.at(name)).unwrap();
            let info =
                images.run(&["info", "-U", "--output=json", "-f", if name == "base" { "raw" } else { "qcow2" }, name]);
            let info: Value = serde_json::from_slice(&info).unwrap();
            assert_eq!(image.virtual_size(), info["virtual-size"].as_u64().unwrap(), "{name}");
            assert_eq!(image.is_encrypted(), info["encrypted"].as_bool().unwrap_or(false), "{name}");
            let snapshots = info["snapshots"].as_array().map_or(0, Vec::len);
            assert_eq!(usize::try_from(image.snapshots()).unwrap(), snapshots, "{name}");
            let special = &info["format-specific"]["data"];
            let version = special["compat"].as_str().map(|compat| if compat == "0.10" { 2 } else { 3 });
            assert_eq!(image.version(), version, "{name}");
            let named = |role| image.names().find(|named| named.role() == role);
            let backing = named(Role::Backing);
            let text = |found: &Value| found.as_str().map(OsString::from);
            assert_eq!(backing.map(|named| named.name().to_owned()), text(&info["backing-filename"]), "{name}");
            let format = backing.and_then(|named| named.format()).map(OsStr::to_owned);
            assert_eq!(format, text(&info["backing-filename-format"]), "{name}");
            assert_eq!(named(Role::Data).map(|named| named.name().to_owned()), text(&special["data-file"]), "{name}");
        }
    }
}

/// A name is a path where QEMU takes it for one, and leads where QEMU goes.
#[test]
fn relative_names_start_where_qemu_starts() {
    for qemu in qemus() {
        let images = Images::new(&qemu);
        std::fs::create_dir(images.at("sub")).unwrap();
        std::fs::copy(images.at("secret"), images.at("sub/disk")).unwrap();
        std::fs::copy(images.at("base"), images.at("disk")).unwrap();
        let image = images.naming("sub/image", "disk", Some("raw"));
        // A link is not followed to find the directory.
        let link = images.at("link");
        std::os::unix::fs::symlink("sub/image", &link).unwrap();
        for (path, wanted) in [(&image, SECRET), (&link, BASE)] {
            let found = first_bytes(&qemu, images.dir.path(), &Drive::new(path, Format::Qcow2));
            assert!(starts_with(&found, wanted), "QEMU {}: {found:?}", qemu.version);
            let image = Image::read(path).unwrap();
            let named = image.names().next().unwrap().path(path).unwrap();
            assert!(std::fs::read(named).unwrap().starts_with(wanted));
        }
    }
}

#[test]
fn only_the_file_that_is_allowed_may_be_named() {
    let qemu = &qemus()[0];
    let images = Images::new(qemu);
    let base = images.at("base");
    std::fs::create_dir(images.at("sub")).unwrap();
    std::os::unix::fs::symlink("base", images.at("soft")).unwrap();
    std::fs::hard_link(&base, images.at("hard")).unwrap();
    let absolute = base.to_str().unwrap();
    for (name, backing) in [("a", absolute), ("b", "base"), ("c", "sub/../base"), ("d", "soft"), ("e", "./hard")] {
        let image = Image::read(&images.naming(name, backing, Some("raw"))).unwrap();
        image.check(&Allowed::only(&base)).unwrap_or_else(|error| panic!("{backing}: {error}"));
        let error = image.check(&Allowed::nothing()).unwrap_err().to_string();
        assert!(error.contains(backing) && error.contains("qemu-img rebase"), "{error}");
        let error = image.check(&Allowed::only(images.at("secret"))).unwrap_err();
        assert!(matches!(error, ImageError::AnotherBase { .. }), "{error}");
    }
    for protocol in ["json:{\"driver\":\"null-co\"}", "nbd://127.0.0.1:1/x", "fat:/etc", "file:base"] {
        let image = Image::read(&images.naming("p", protocol, Some("raw"))).unwrap();
        let error = image.check(&Allowed::only(&base)).unwrap_err();
        assert!(matches!(error, ImageError::Names { .. }), "{protocol}: {error}");
    }
    let missing = Image::read(&images.naming("m", "no-such-file", Some("raw"))).unwrap();
    assert!(matches!(missing.check(&Allowed::only(&base)), Err(ImageError::AnotherBase { .. })));
    // A name may be made to look like an end of the line.
    let ugly = Image::read(&images.naming("u", "a\u{1b}[31m\n\u{202e}b", Some("raw"))).unwrap();
    let text = ugly.check(&Allowed::nothing()).unwrap_err().to_string();
    assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{text:?}");

    // Whoever leaves the format to QEMU lets the base's writer choose it.
    for (name, format) in [("g", None), ("h", Some("vmdk"))] {
        let image = Image::read(&images.naming(name, "base", format)).unwrap();
        let error = image.check(&Allowed::only(&base)).unwrap_err();
        assert!(matches!(error, ImageError::BackingFormat { .. }), "{error}");
    }

    // A base that stands alone, and one that does not.
    images.run(&["create", "-q", "-f", "qcow2", "good", "1M"]);
    images.naming("bad", "secret", Some("raw"));
    for (base, fine) in [("good", true), ("bad", false)] {
        let image = Image::read(&images.naming("over", base, Some("qcow2"))).unwrap();
        let checked = image.check(&Allowed::only(images.at(base)));
        assert_eq!(checked.is_ok(), fine, "{base}: {checked:?}");
    }
    Image::read(&images.at("good")).unwrap().check(&Allowed::nothing()).unwrap();
}

/// The error's remedy is one: an image that is made whole stands alone.
#[test]
fn the_remedies_work() {
    let images = Images::new(&qemus()[0]);
    let whole = |name: &str| Image::read(&images.at(name)).unwrap().check(&Allowed::nothing());
    images.naming("overlay", "base", Some("raw"));
    assert!(whole("overlay").is_err());
    images.run(&["rebase", "-b", "", "overlay"]);
    whole("overlay").unwrap();
    images.with_data_file("data", "base");
    assert!(whole("data").is_err());
    images.run(&["convert", "-O", "qcow2", "data", "one"]);
    whole("one").unwrap();
    images.naming("guess", "base", None);
    images.run(&["rebase", "-u", "-F", "raw", "-b", images.at("base").to_str().unwrap(), "guess"]);
    Image::read(&images.at("guess")).unwrap().check(&Allowed::only(images.at("base"))).unwrap();
}

/// A stranger's file need not be a file.
#[test]
fn nothing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&fifo, dir.path(), Path::new("/dev/zero"), Path::new("/no/such/file")] {
        assert!(matches!(Image::read(path), Err(ImageError::File(_))), "{}", path.display());
    }
}
