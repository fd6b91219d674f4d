//! Control groups against a real cgroup v2 tree: in a guest, for a machine may have none, or one that is systemd's. The checks are in
//! `tests/src/bin/cgroups`, which runs there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use qemu_dsl::launch::Launch;
use qemu_dsl::prelude::*;
use tests::{archive, guest_dir, root};

const CHECKS: [&str; 28] = [
    "version-1",
    "unmarked",
    "marked-by-the-user",
    "marked-by-root",
    "own-tree",
    "not-own",
    "half-own",
    "outside",
    "occupied",
    "elsewhere",
    "namespace",
    "hidden",
    "unmounted",
    "no-controller",
    "no-tree",
    "names",
    "values",
    "gone",
    "memory",
    "memory-at-once",
    "pids",
    "cpu",
    "io",
    "io-holds",
    "dropped",
    "dropped-without-kill",
    "swept",
    "nothing-is-left",
];

const INIT: &str = r"#!/bin/busybox sh
busybox=/bin/busybox
$busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /tmp /mnt
mount -t tmpfs tmp /tmp
while read -r module; do
    case $module in *virtio_net*|*failover*) continue ;; esac
    insmod /modules/$module
done </modules/order
until [ -b /dev/vda1 ]; do usleep 10000; done
mount -t ext4 /dev/vda1 /mnt
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin
mkdir /old
mount -t cgroup -o pids pids /old
/cgroups version-1
umount /old
until grep -q pids /sys/fs/cgroup/cgroup.controllers; do usleep 10000; done
echo +memory +pids +cpu +io >/sys/fs/cgroup/cgroup.subtree_control
/cgroups
echo the checks are done
poweroff -f
";

/// The program of the checks, linked so that it needs nothing of the guest's.
fn program() -> PathBuf {
    let target = root().join("target/static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["rustc", "--quiet", "--package", "tests", "--bin", "cgroups"]);
    cargo.arg("--target-dir").arg(&target);
    cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
    assert!(cargo.status().unwrap().success(), "the program can be built");
    target.join("debug/cgroups")
}

/// A disk with the image in its one partition.
fn partitioned(image: &Path, disk: &Path) {
    let mut qemu_img = Command::new("qemu-img");
    qemu_img.args(["convert", "-O", "raw"]).args([image, disk]);
    assert!(qemu_img.status().unwrap().success(), "the image can be converted");
    let content = std::fs::read(disk).unwrap();
    let (first, sectors) = (2048_u32, u32::try_from(content.len() / 512).unwrap());
    // A boot record, whose table's first entry is a partition of Linux.
    let mut all = vec![0; 512 * 2048];
    all[446 + 4] = 0x83;
    all[446 + 8..446 + 12].copy_from_slice(&first.to_le_bytes());
    all[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
    all[510..512].copy_from_slice(&[0x55, 0xaa]);
    all.extend_from_slice(&content);
    std::fs::write(disk, all).unwrap();
}

#[test]
fn limits_hold_in_a_real_tree() {
    let (guest, dir) = (guest_dir(), tempfile::tempdir().unwrap());
    let [initramfs, disk] = ["initramfs", "disk"].map(|name| dir.path().join(name));
    partitioned(&guest.join("rootfs-x86_64.qcow2"), &disk);
    let mut content = std::fs::read(guest.join("initramfs-x86_64")).unwrap();
    archive::append(&mut content, &[("init", INIT.as_bytes()), ("cgroups", &std::fs::read(program()).unwrap())]);
    std::fs::write(&initramfs, content).unwrap();

    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(512));
    let kernel = guest.join("vmlinuz-x86_64");
    vm.no_reboot().kernel(Kernel::new(&kernel).initrd(&initramfs).cmdline("panic=-1 quiet no_timer_check"));
    let disk = vm.drive(Drive::new(&disk, Format::Raw));
    vm.add(VirtioBlk::new(disk));
    let console = vm.chardev(Stdio::new());
    let command = vm.isa_serial_console(console).build().unwrap();
    let machine = Launch::new(&command).start().unwrap();
    let ended = machine.wait(Instant::now() + Duration::from_mins(3)).is_some();
    let said = String::from_utf8_lossy(&machine.end(None).unwrap().console).into_owned();
    assert!(ended && said.contains("the checks are done"), "{said}");
    for check in CHECKS {
        assert!(said.lines().any(|line| line.trim().ends_with(&format!("ok {check}"))), "{check}\n{said}");
    }
}
