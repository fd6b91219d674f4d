//! The rows.

use super::Release::{self, V5_2, V7_2, V10_0, V11_1};
use super::Repeat::{self, Last, List, Merge, Once, Same};
use super::Syntax::{self, Chardev, Cpu, Display, Global, Keyval, Netdev, Opts, Set, Text};
use super::{Flag, Targets};
use crate::accel::Architecture::{Aarch64, Riscv64, X86_64};

const fn opts(name: &'static str, syntaxes: &'static [(Release, Syntax)]) -> Flag {
    let (json, targets) = (None, Targets::All);
    Flag { name, releases: (V5_2, V11_1), syntaxes, json, repeat: Last, targets, alias_of: None }
}

const fn switch(name: &'static str) -> Flag {
    opts(name, &[(V5_2, Syntax::None)]).repeat(Same)
}

impl Flag {
    const fn since(mut self, release: Release) -> Self {
        self.releases.0 = release;
        self
    }

    const fn until(mut self, release: Release) -> Self {
        self.releases.1 = release;
        self
    }

    const fn json(mut self, release: Release) -> Self {
        self.json = Some(release);
        self
    }

    const fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    const fn targets(mut self, targets: Targets) -> Self {
        self.targets = targets;
        self
    }

    const fn alias(mut self, of: &'static str) -> Self {
        self.alias_of = Some(of);
        self
    }
}

/// All switches, by name as bytes sort: capitals first.
#[rustfmt::skip] // one a line
pub const FLAGS: &[Flag] = &[
    opts("D", &[(V5_2, Text)]),
    opts("L", &[(V5_2, Text)]).repeat(List),
    opts("M", &[(V5_2, Opts(Some("type"))), (V7_2, Keyval(Some("type")))]).repeat(Merge).alias("machine"),
    switch("S"),
    opts("accel", &[(V5_2, Opts(Some("accel")))]).repeat(List),
    opts("acpitable", &[(V5_2, Opts(Some("data")))]).repeat(List).targets(Targets::Some(&[(X86_64, V5_2)])),
    opts("action", &[(V5_2, Opts(None))]).repeat(Merge).since(V7_2),
    opts("add-fd", &[(V5_2, Opts(None))]).repeat(List),
    switch("alt-grab").until(V5_2),
    opts("append", &[(V5_2, Text)]),
    switch("async-teardown").since(V7_2).until(V7_2),
    opts("audio", &[(V7_2, Keyval(Some("driver")))]).repeat(List).since(V7_2),
    switch("audio-help").until(V7_2),
    opts("audiodev", &[(V5_2, Keyval(Some("driver")))]).json(V5_2).repeat(List),
    opts("bios", &[(V5_2, Text)]),
    opts("blockdev", &[(V5_2, Keyval(Some("driver")))]).json(V5_2).repeat(List),
    opts("boot", &[(V5_2, Opts(Some("order"))), (V7_2, Keyval(Some("order")))]).repeat(Merge),
    opts("cdrom", &[(V5_2, Text)]).repeat(List),
    opts("chardev", &[(V5_2, Opts(Some("backend")))]).repeat(List),
    opts("chroot", &[(V5_2, Text)]).until(V7_2),
    opts("compat", &[(V7_2, Keyval(None))]).json(V7_2).since(V7_2),
    opts("cpu", &[(V5_2, Cpu)]),
    switch("ctrl-grab").until(V5_2),
    switch("curses").until(V5_2),
    opts("d", &[(V5_2, Text)]),
    switch("daemonize"),
    opts("debugcon", &[(V5_2, Chardev)]).repeat(List),
    opts("device", &[(V5_2, Opts(Some("driver")))]).json(V7_2).repeat(List),
    opts("dfilter", &[(V5_2, Text)]),
    opts("display", &[(V5_2, Display)]).json(V5_2),
    opts("drive", &[(V5_2, Opts(None))]).repeat(List),
    opts("dtb", &[(V5_2, Text)]),
    opts("dump-vmstate", &[(V5_2, Text)]).repeat(Once),
    opts("echr", &[(V5_2, Text)]),
    switch("enable-fips").until(V5_2),
    switch("enable-kvm"),
    switch("enable-sync-profile"),
    opts("fda", &[(V5_2, Text)]).repeat(List),
    opts("fdb", &[(V5_2, Text)]).repeat(List),
    opts("fsdev", &[(V5_2, Opts(Some("fsdriver")))]).repeat(List),
    switch("full-screen"),
    opts("fw_cfg", &[(V5_2, Opts(Some("name")))]).repeat(List),
    opts("g", &[(V5_2, Text)]).targets(Targets::Some(&[])),
    opts("gdb", &[(V5_2, Chardev)]).repeat(List),
    opts("global", &[(V5_2, Global)]).repeat(List),
    switch("h").alias("help"),
    opts("hda", &[(V5_2, Text)]).repeat(List),
    opts("hdb", &[(V5_2, Text)]).repeat(List),
    opts("hdc", &[(V5_2, Text)]).repeat(List),
    opts("hdd", &[(V5_2, Text)]).repeat(List),
    switch("help"),
    opts("icount", &[(V5_2, Opts(Some("shift")))]).repeat(Merge),
    opts("incoming", &[(V5_2, Text)]).json(V10_0),
    opts("initrd", &[(V5_2, Text)]),
    opts("iscsi", &[(V5_2, Opts(None))]).repeat(List),
    switch("jitdump").since(V10_0),
    opts("k", &[(V5_2, Text)]),
    opts("kernel", &[(V5_2, Text)]),
    opts("loadvm", &[(V5_2, Text)]),
    opts("m", &[(V5_2, Opts(Some("size")))]).repeat(Merge),
    opts("machine", &[(V5_2, Opts(Some("type"))), (V7_2, Keyval(Some("type")))]).repeat(Merge),
    opts("mem-path", &[(V5_2, Text)]),
    switch("mem-prealloc"),
    opts("mon", &[(V5_2, Opts(Some("chardev")))]).repeat(List),
    opts("monitor", &[(V5_2, Chardev)]).repeat(List),
    opts("msg", &[(V5_2, Opts(None))]),
    opts("mtdblock", &[(V5_2, Text)]).repeat(List),
    opts("name", &[(V5_2, Opts(Some("guest")))]).repeat(Merge),
    opts("net", &[(V5_2, Opts(Some("type")))]).repeat(List),
    opts("netdev", &[(V5_2, Netdev)]).json(V7_2).repeat(List),
    opts("nic", &[(V5_2, Opts(Some("type")))]).repeat(List),
    switch("no-acpi").until(V7_2).targets(Targets::Some(&[(X86_64, V5_2), (Aarch64, V5_2)])),
    switch("no-fd-bootchk").targets(Targets::Some(&[(X86_64, V5_2)])),
    switch("no-hpet").until(V7_2).targets(Targets::Some(&[(X86_64, V5_2)])),
    switch("no-quit").until(V5_2),
    switch("no-reboot"),
    switch("no-shutdown"),
    switch("no-user-config"),
    switch("nodefaults"),
    switch("nographic"),
    opts("numa", &[(V5_2, Opts(Some("type")))]).repeat(List),
    opts("object", &[(V5_2, Opts(Some("qom-type")))]).json(V7_2).repeat(List),
    switch("old-param").until(V10_0).targets(Targets::Some(&[(Aarch64, V5_2)])),
    switch("only-migratable"),
    opts("option-rom", &[(V5_2, Opts(Some("romfile")))]).repeat(List),
    opts("overcommit", &[(V5_2, Opts(None))]).repeat(Merge),
    opts("parallel", &[(V5_2, Chardev)]).repeat(List),
    switch("perfmap").since(V10_0),
    opts("pflash", &[(V5_2, Text)]).repeat(List),
    opts("pidfile", &[(V5_2, Text)]),
    opts("plugin", &[(V5_2, Opts(Some("file")))]).repeat(List),
    switch("portrait").until(V7_2),
    switch("preconfig"),
    opts("prom-env", &[(V5_2, Text)]).repeat(List).targets(Targets::Some(&[])),
    opts("qmp", &[(V5_2, Chardev)]).repeat(List),
    opts("qmp-pretty", &[(V5_2, Chardev)]).repeat(List),
    opts("qtest", &[(V5_2, Chardev)]),
    opts("qtest-log", &[(V5_2, Text)]),
    opts("readconfig", &[(V5_2, Text)]).repeat(List),
    opts("realtime", &[(V5_2, Opts(None))]).repeat(Merge).until(V5_2),
    opts("rotate", &[(V5_2, Text)]).until(V7_2),
    opts("rtc", &[(V5_2, Opts(None))]).repeat(Merge),
    opts("run-with", &[(V5_2, Opts(None))]).repeat(Merge).since(V10_0),
    opts("runas", &[(V5_2, Text)]).until(V7_2),
    switch("s"),
    opts("sandbox", &[(V5_2, Opts(Some("enable")))]).repeat(List),
    opts("sd", &[(V5_2, Text)]).repeat(List),
    switch("sdl").until(V5_2),
    opts("seed", &[(V5_2, Text)]),
    switch("semihosting").targets(Targets::Some(&[(Aarch64, V5_2), (Riscv64, V7_2)])),
    opts("semihosting-config", &[(V5_2, Opts(None))]).repeat(Merge).targets(Targets::Some(&[(Aarch64, V5_2), (Riscv64, V7_2)])),
    opts("serial", &[(V5_2, Chardev)]).repeat(List),
    opts("set", &[(V5_2, Set)]).repeat(List),
    opts("shim", &[(V5_2, Text)]).since(V10_0),
    switch("show-cursor").until(V5_2),
    switch("singlestep").until(V7_2),
    opts("smbios", &[(V5_2, Opts(None))]).repeat(List).targets(Targets::Some(&[(X86_64, V5_2), (Aarch64, V5_2), (Riscv64, V10_0)])),
    opts("smp", &[(V5_2, Opts(Some("cpus"))), (V7_2, Keyval(Some("cpus")))]).repeat(Merge),
    switch("snapshot"),
    opts("soundhw", &[(V5_2, Text)]).repeat(List).until(V5_2),
    opts("spice", &[(V5_2, Opts(None))]).repeat(Merge),
    opts("tb-size", &[(V5_2, Text)]).until(V5_2),
    opts("tpmdev", &[(V5_2, Opts(Some("type")))]).repeat(List),
    opts("trace", &[(V5_2, Opts(Some("enable")))]).repeat(List),
    switch("usb"),
    opts("usbdevice", &[(V5_2, Text)]).repeat(List),
    opts("uuid", &[(V5_2, Text)]),
    switch("version"),
    opts("vga", &[(V5_2, Text)]),
    opts("virtfs", &[(V5_2, Opts(Some("fsdriver")))]).repeat(List),
    opts("vnc", &[(V5_2, Opts(Some("vnc")))]).repeat(List),
    opts("watchdog", &[(V5_2, Text)]).until(V5_2),
    opts("watchdog-action", &[(V5_2, Text)]),
    switch("win2k-hack").targets(Targets::Some(&[(X86_64, V5_2)])),
    opts("writeconfig", &[(V5_2, Text)]).until(V5_2),
    switch("xen-attach").targets(Targets::Build),
    opts("xen-domid", &[(V5_2, Text)]).targets(Targets::Build),
    switch("xen-domid-restrict").targets(Targets::Build),
];
