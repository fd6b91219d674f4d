//! The sandbox's table, row by row, and every rule of its options.

use std::path::Path;

use qemu_dsl::accel::Architecture::{Aarch64, X86_64};
use qemu_dsl::facts::Acceleration::{Hvf, Kvm, Tcg};
use qemu_dsl::facts::Os::{Linux, Macos};
use qemu_dsl::isolation::Isolation;
use qemu_dsl::kernel::MmioDiscovery;
use qemu_dsl::sandbox::{
    ConfigError, Confinement, ExposedPort, Plan, PlanError, Planner, Profile, SandboxConfig, plan,
};
use qemu_dsl::{HostFacts, QemuVersion};
use tests::parse::{Parsed, parse, values};
use tests::plans::{bare, configs, hosts};

const ALL: HostFacts = HostFacts::example();

fn config() -> SandboxConfig {
    SandboxConfig::new("vm-1", "/run/vm", "/boot").unwrap()
}

fn argv(config: &SandboxConfig, facts: &HostFacts) -> Vec<String> {
    let plan = plan(config, facts).unwrap();
    plan.command().args().map(|arg| arg.to_str().unwrap().to_owned()).collect()
}

fn one<'a>(argv: &'a [String], flag: &str) -> &'a str {
    let values = values(argv, flag);
    assert_eq!(values.len(), 1, "{flag} in {argv:?}");
    values[0]
}

fn device(argv: &[String], head: &str) -> Option<Parsed> {
    values(argv, "-device").into_iter().map(|value| parse(value.as_bytes())).find(|parsed| parsed.head() == head)
}

/// Facts, then: -accel, -cpu, -machine, suffix, console=, -serial.
#[test]
fn the_table() {
    let tsc = |facts: HostFacts| facts.with_tsc_deadline(true);
    let no_core = "mem-merge=off,dump-guest-core=off";
    let microvm = "microvm,acpi=off,x-option-roms=off";
    let virt = "virt,virtualization=off,highmem=off,gic-version=3,mem-merge=off";
    let tcg = "tcg,thread=single,tb-size=256";
    let uart = "chardev:virtiocon0";
    for (facts, accel, cpu, machine, suffix, console, serial) in [
        (
            tsc(bare(X86_64, Linux, Kvm)),
            "kvm",
            "host,-svm,-vmx",
            format!("{microvm},pit=off,pic=off,rtc=off,isa-serial=off,{no_core}"),
            "device",
            "hvc0",
            "none",
        ),
        (
            bare(X86_64, Linux, Kvm),
            "kvm",
            "host,-svm,-vmx",
            format!("{microvm},isa-serial=off,{no_core}"),
            "device",
            "hvc0",
            "none",
        ),
        (
            tsc(bare(X86_64, Macos, Hvf)),
            "hvf",
            "host,-svm,-vmx",
            format!("{microvm},pit=off,pic=off,rtc=off,isa-serial=off,mem-merge=off"),
            "device",
            "hvc0",
            "none",
        ),
        (
            bare(X86_64, Macos, Hvf),
            "hvf",
            "host,-svm,-vmx",
            format!("{microvm},isa-serial=off,mem-merge=off"),
            "device",
            "hvc0",
            "none",
        ),
        (tsc(bare(X86_64, Linux, Tcg)), tcg, "Haswell", format!("pc,{no_core}"), "pci", "ttyS0", uart),
        (bare(X86_64, Macos, Tcg), tcg, "Haswell", "pc,mem-merge=off".to_owned(), "pci", "ttyS0", uart),
        (bare(Aarch64, Linux, Kvm), "kvm", "host", format!("{virt},dump-guest-core=off"), "device", "ttyAMA0", uart),
        (
            bare(Aarch64, Linux, Tcg),
            tcg,
            "cortex-a57",
            format!("{virt},dump-guest-core=off"),
            "device",
            "ttyAMA0",
            uart,
        ),
        (bare(Aarch64, Macos, Hvf), "hvf", "host", virt.to_owned(), "device", "ttyAMA0", uart),
        (bare(Aarch64, Macos, Tcg), tcg, "cortex-a57", virt.to_owned(), "device", "ttyAMA0", uart),
    ] {
        let argv = argv(&config(), &facts);
        assert_eq!(one(&argv, "-accel"), accel, "{facts:?}");
        assert_eq!(one(&argv, "-cpu"), cpu, "{facts:?}");
        assert_eq!(one(&argv, "-machine"), machine, "{facts:?}");
        assert_eq!(one(&argv, "-serial"), serial, "{facts:?}");
        assert!(one(&argv, "-append").starts_with(&format!("console={console} loglevel=7 ")), "{facts:?}");
        for head in ["virtio-blk", "virtio-serial", "virtio-balloon"] {
            assert!(device(&argv, &format!("{head}-{suffix}")).is_some(), "{head} {facts:?}");
        }
        assert_eq!(device(&argv, "virtconsole").is_some(), console == "hvc0", "{facts:?}");
    }
}

#[test]
fn what_every_plan_has() {
    for facts in hosts(None) {
        let argv = argv(&config(), &facts);
        for flag in ["-nodefaults", "-no-user-config", "-no-reboot", "-nographic"] {
            assert_eq!(argv.iter().filter(|arg| *arg == flag).count(), 1, "{flag}");
        }
        assert_eq!(one(&argv, "-name"), "guest=vm-1");
        assert_eq!(one(&argv, "-m"), "256M");
        assert_eq!(one(&argv, "-smp"), "1");
        assert_eq!(one(&argv, "-monitor"), "none");
        assert_eq!(one(&argv, "-qmp"), "unix:/run/vm/qmp.sock,server=on,wait=off");
        assert_eq!(one(&argv, "-kernel"), format!("/boot/vmlinuz-{}", facts.arch));
        assert_eq!(one(&argv, "-initrd"), format!("/boot/initramfs-{}", facts.arch));
        let chardevs = [
            "socket,id=cmd0,path=/run/vm/cmd.sock,server=on,wait=off",
            "socket,id=event0,path=/run/vm/event.sock,server=on,wait=off",
            "stdio,id=virtiocon0,mux=on,signal=off",
        ];
        assert_eq!(values(&argv, "-chardev"), chardevs);
        let port = |nr: &str| {
            values(&argv, "-device")
                .iter()
                .map(|value| parse(value.as_bytes()))
                .find(|parsed| parsed.get("nr").as_deref() == Some(nr))
        };
        assert_eq!(port("1").unwrap().get("name").unwrap(), "org.dualeai.cmd");
        assert_eq!(port("2").unwrap().get("name").unwrap(), "org.dualeai.event");
        let drive = one(&argv, "-drive");
        let aio = if facts.os == Linux && facts.io_uring { "io_uring" } else { "threads" };
        assert_eq!(
            drive,
            format!(
                "file=/run/vm/overlay.qcow2,format=qcow2,if=none,id=hd0,cache=unsafe,aio={aio},discard=unmap,detect-zeroes=unmap,\
                 werror=report,rerror=report,copy-on-read=off,bps=52428800,bps_max=104857600,iops=1000,iops_max=2000,\
                 file.locking=off"
            )
        );
        let seccomp = values(&argv, "-sandbox");
        let strict = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        assert_eq!(seccomp, if facts.os == Linux && facts.seccomp { vec![strict] } else { vec![] }, "{facts:?}");
        assert!(
            values(&argv, "-netdev").is_empty() && !argv.concat().contains("virtio-net"),
            "no NIC without a network"
        );
    }
}

#[test]
fn the_kernel_command_line() {
    let common = "loglevel=7 root=/dev/vda rootflags=rw,noatime rootfstype=ext4 rootwait=2 fsck.mode=skip reboot=t panic=-1 \
        preempt=none i8042.noaux i8042.nomux i8042.nopnp i8042.nokbd init=/init random.trust_cpu=on raid=noautodetect \
        mitigations=off nokaslr noresume swiotlb=noforce";
    let append = |config: &SandboxConfig, facts: &HostFacts| one(&argv(config, facts), "-append").to_owned();
    let arm = bare(Aarch64, Linux, Tcg);
    assert_eq!(append(&config(), &ALL), format!("console=hvc0 {common} init.balloon=1 tsc=reliable"));
    assert_eq!(append(&config(), &arm), format!("console=ttyAMA0 {common} init.balloon=1"));
    // The check of the timer fails under emulation on a busy host.
    let x86 = bare(X86_64, Linux, Tcg);
    assert_eq!(append(&config(), &x86), format!("console=ttyS0 {common} init.balloon=1 tsc=reliable no_timer_check"));
    assert_eq!(
        append(&config().allow_network(true), &arm),
        format!("console=ttyAMA0 {common} init.net=1 init.balloon=1")
    );
}

#[test]
fn an_io_thread_where_there_is_ioeventfd() {
    let old = Some(QemuVersion::new(7, 2, 22));
    let new = Some(QemuVersion::new(10, 0, 13));
    for (arch, os, accel, version, expected) in [
        (X86_64, Linux, Kvm, None, true),
        (X86_64, Linux, Tcg, None, true),
        (X86_64, Linux, Tcg, old, true),
        (X86_64, Macos, Hvf, new, false),
        (X86_64, Macos, Tcg, new, false),
        (Aarch64, Linux, Kvm, old, true),
        (Aarch64, Linux, Tcg, old, false),
        (Aarch64, Linux, Tcg, None, false),
        (Aarch64, Linux, Tcg, new, true),
        (Aarch64, Macos, Hvf, new, false),
    ] {
        let argv = argv(&config(), &bare(arch, os, accel).with_qemu_version(version));
        let what = format!("{arch} {os:?} {accel:?} {version:?}");
        let objects = values(&argv, "-object");
        assert_eq!(objects, if expected { vec!["iothread,id=iothread0-vm-1"] } else { vec![] }, "{what}");
        let block = ["device", "pci"].iter().find_map(|suffix| device(&argv, &format!("virtio-blk-{suffix}"))).unwrap();
        assert_eq!(block.get("iothread").is_some(), expected, "{what}");
        assert_eq!((block.get("num-queues").unwrap(), block.get("queue-size").unwrap()), ("1".into(), "128".into()));
    }
}

#[test]
fn the_network_by_version() {
    let on = config().allow_network(true);
    let base = "stream,id=net0,addr.type=unix,addr.path=/run/vm/gvproxy.sock";
    for (version, expected) in [
        (None, Ok("")),
        (Some((5, 2, 0)), Err(())),
        (Some((7, 1, 0)), Err(())),
        (Some((7, 2, 0)), Ok("")),
        (Some((7, 2, 99)), Ok("")),
        (Some((8, 0, 0)), Ok(",reconnect=1")),
        (Some((9, 1, 9)), Ok(",reconnect=1")),
        (Some((9, 2, 0)), Ok(",reconnect-ms=250")),
        (Some((10, 0, 0)), Ok(",reconnect-ms=250")),
        (Some((11, 1, 0)), Ok(",reconnect-ms=250")),
    ] {
        let version = version.map(|(major, minor, micro)| QemuVersion::new(major, minor, micro));
        let facts = ALL.with_qemu_version(version);
        match (plan(&on, &facts), expected) {
            (Ok(_), Ok(suffix)) => {
                let argv = argv(&on, &facts);
                assert_eq!(one(&argv, "-netdev"), format!("{base}{suffix}"), "{version:?}");
                let card = device(&argv, "virtio-net-device").unwrap();
                for key in ["mq", "csum", "gso", "host_tso4", "host_tso6", "mrg_rxbuf", "ctrl_rx", "guest_announce"] {
                    assert_eq!(card.get(key).as_deref(), Some("off"), "{key}");
                }
            }
            (Err(PlanError::NetworkVersion { version: named }), Err(())) => assert_eq!(Some(named), version),
            (other, _) => panic!("{version:?}: {other:?}"),
        }
        assert!(plan(&config(), &facts).is_ok(), "without a network every version will do");
    }
}

#[test]
fn the_three_network_modes() {
    let port = ExposedPort { internal: 80, external: 8080 };
    for (allow, ports, net, own_network) in [
        (false, vec![], false, true),
        (false, vec![port], true, true),
        (true, vec![port], true, false),
        (true, vec![], true, false),
    ] {
        let config = config().allow_network(allow).expose(ports).unwrap();
        let argv = argv(&config, &ALL);
        assert_eq!(values(&argv, "-netdev").len(), usize::from(net));
        assert_eq!(one(&argv, "-append").contains(" init.net=1 "), net);
        assert_eq!(argv.iter().any(|arg| arg == "--net"), own_network);
    }
}

#[test]
fn the_wrappers() {
    let start = |config: &SandboxConfig, facts: &HostFacts| {
        let argv = argv(config, facts);
        let end = argv.iter().position(|arg| arg == "-accel").unwrap();
        argv[..end].join(" ")
    };
    let user = config().user("qemu-vm").unwrap();
    let bare = bare(X86_64, Linux, Kvm);
    let unshare = "unshare --pid --net --mount --uts --ipc --fork --kill-child --";
    let sudo = "sudo -u qemu-vm stdbuf -oL";
    assert_eq!(start(&config(), &bare), "qemu-system-x86_64");
    assert_eq!(start(&config(), &ALL), format!("{unshare} qemu-system-x86_64"));
    assert_eq!(start(&user, &bare), format!("{sudo} qemu-system-x86_64"));
    assert_eq!(start(&user, &ALL), format!("{unshare} {sudo} qemu-system-x86_64"));
    assert_eq!(
        start(&config().allow_network(true), &ALL),
        format!("{} qemu-system-x86_64", unshare.replace("--net ", ""))
    );
    let mac = ALL.with_os(Macos).with_accel(Hvf);
    assert_eq!(start(&config().qemu("/opt/my qemu").unwrap(), &mac), "/opt/my qemu");
}

/// Level by level: what stands before QEMU, for a root launcher and others.
#[test]
fn the_isolation() {
    let start = |config: &SandboxConfig, facts: &HostFacts| {
        let argv = argv(config, facts);
        let end = argv.iter().position(|arg| arg.starts_with("qemu-system")).unwrap();
        argv[..end].join(" ")
    };
    let level = |config: &SandboxConfig, facts: &HostFacts| plan(config, facts).map(|plan| plan.isolation());
    let with = |confinement: Confinement| config().confinement(confinement);
    let user = config().user("qemu-vm").unwrap();
    let bare = bare(X86_64, Linux, Tcg);
    let unshare = "--pid --net --mount --uts --ipc --fork --kill-child --";
    let setpriv = |who: &str| {
        format!("setpriv {who} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs --pdeathsig KILL --")
    };
    let first = setpriv("--reuid=1879048192 --regid=1879048192");

    // Without the newer facts: the table.
    assert_eq!(level(&config(), &bare), Ok(Isolation::None));
    assert_eq!(level(&config(), &ALL), Ok(Isolation::Namespaces));
    assert!(plan(&config(), &bare).unwrap().remarks().any(|remark| remark.contains("bubblewrap")));

    // Namespaces: an ordinary user, one who wants another user, and root.
    let ordinary = bare.clone().with_unshare_user(true);
    assert_eq!(start(&config(), &ordinary), format!("unshare --user --map-current-user {unshare}"));
    assert_eq!(start(&user, &ordinary), format!("sudo -u qemu-vm unshare --user --map-current-user {unshare}"));
    let root = bare.clone().with_unshare(true).with_root(true);
    assert_eq!(start(&config(), &root), format!("unshare {unshare} {first}"));
    assert_eq!(start(&user, &root), format!("unshare {unshare} {}", setpriv("--reuid=qemu-vm --regid=qemu-vm")));
    let ids = with(Confinement::new().ids(7, 8));
    assert_eq!(start(&ids, &root), format!("unshare {unshare} {}", setpriv("--reuid=7 --regid=8")));
    assert_eq!(start(&config(), &bare.clone().with_root(true)), first, "root becomes another in every level");
    let kvm = root.clone().with_accel(Kvm);
    assert!(start(&config(), &kvm).contains("--groups=kvm"), "the group of /dev/kvm is kept");
    assert!(start(&with(Confinement::new().kvm_group(108)), &kvm).contains("--groups=108"));

    // The jail.
    let jail = start(&config(), &bare.clone().with_bwrap(true));
    assert!(jail.starts_with("bwrap --unshare-user --unshare-pid "), "{jail}");
    for part in [
        "--unshare-net ",
        "--cap-drop ALL --clearenv ",
        "--die-with-parent --new-session ",
        "--ro-bind /usr /usr ",
        "--ro-bind /boot/vmlinuz-x86_64 /boot/vmlinuz-x86_64 ",
        "--ro-bind /boot/initramfs-x86_64 /boot/initramfs-x86_64 ",
        "--dir /run/vm --bind /run/vm /run/vm --chdir /run/vm --remount-ro / --",
    ] {
        assert!(jail.contains(part), "{part} in {jail}");
    }
    assert!(!jail.contains("kvm") && !jail.contains("setpriv"), "{jail}");
    let of_root = start(&config(), &bare.clone().with_bwrap(true).with_root(true).with_accel(Kvm));
    let last = first.replace("--clear-groups", "--groups=kvm");
    assert!(of_root.ends_with(&format!("--remount-ro / -- {last} unshare --user --map-current-user --")), "{of_root}");
    assert!(of_root.contains("--dev-bind /dev/kvm /dev/kvm --remount-ro /dev "), "{of_root}");
    let more = with(Confinement::new().read("/srv/base.qcow2"));
    assert!(start(&more, &bare.clone().with_bwrap(true)).contains("--ro-bind /srv/base.qcow2 /srv/base.qcow2"));

    // What is asked for, and what is refused.
    let all = bare.clone().with_bwrap(true).with_unshare_user(true);
    assert_eq!(level(&with(Confinement::new().isolation(Isolation::Namespaces)), &all), Ok(Isolation::Namespaces));
    assert_eq!(level(&with(Confinement::new().isolation(Isolation::None)), &all), Ok(Isolation::None));
    assert_eq!(level(&with(Confinement::new().require(Isolation::Namespaces)), &all), Ok(Isolation::Jail));
    let refused = |config: &SandboxConfig, facts: &HostFacts| level(config, facts).unwrap_err().to_string();
    let asked = refused(&with(Confinement::new().isolation(Isolation::Jail)), &ordinary);
    assert!(asked.contains("no isolation `jail`") && asked.contains("bubblewrap"), "{asked}");
    let required = refused(&with(Confinement::new().require(Isolation::Jail)), &ordinary);
    assert!(required.contains("`jail` is required") && required.contains("`namespaces`"), "{required}");
    assert_eq!(level(&user, &all), Ok(Isolation::Namespaces), "`sudo` does not work in a jail");
    let both = refused(&user.clone().confinement(Confinement::new().isolation(Isolation::Jail)), &all);
    assert!(both.contains("leave out the user"), "{both}");
    assert_eq!(level(&user, &all.clone().with_root(true)), Ok(Isolation::Jail), "root needs no `sudo`");
    let relative = SandboxConfig::new("vm-1", "run", "/boot").unwrap();
    assert!(refused(&relative, &all).contains("has to be absolute"));
    for path in ["/", "/proc/1", "/dev", "/sys"] {
        assert!(refused(&with(Confinement::new().read(path)), &all).contains("does not show"), "{path}");
    }
    // What is shown anyway is not shown again.
    let covered = start(&with(Confinement::new().read("/boot").read("/srv/x").read("/srv")), &all);
    assert!(!covered.contains("vmlinuz") && !covered.contains("/srv/x"), "{covered}");
    assert_eq!(level(&config(), &all.with_os(Macos)), Ok(Isolation::None), "only Linux has them");
}

#[test]
fn a_guest_kernel_that_cannot_find_its_devices() {
    let with = |kernel, facts: &HostFacts| {
        let config = config().kernel_mmio(kernel);
        // The remark on the isolation is another one.
        let of_the_kernel = plan(&config, facts).unwrap().remarks().find(|remark| remark.contains("kernel"));
        (one(&argv(&config, facts), "-machine").to_owned(), of_the_kernel)
    };
    let (machine, remark) = with(MmioDiscovery::AcpiOnly, &ALL);
    assert!(machine.starts_with("microvm,acpi=on,x-option-roms=on,isa-serial=off"), "{machine}");
    assert!(remark.unwrap().contains("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES"));
    let (machine, remark) = with(MmioDiscovery::None, &ALL);
    assert!(machine.starts_with("pc,") && remark.unwrap().contains("virtio-mmio"));
    let (machine, remark) = with(MmioDiscovery::Unknown, &ALL);
    assert!(machine.starts_with("microvm,acpi=off") && remark.unwrap().contains("no kernel configuration"));
    assert_eq!(with(MmioDiscovery::CommandLine, &ALL).1, None);
    // pc has PCI, and aarch64 has a device tree: nothing to say there.
    for facts in [bare(X86_64, Linux, Tcg), bare(Aarch64, Linux, Kvm)] {
        assert_eq!(with(MmioDiscovery::AcpiOnly, &facts).1, None);
    }
}

#[test]
fn emulation_and_the_fast_profile() {
    let forced = argv(&config().force_emulation(true), &ALL);
    assert_eq!(one(&forced, "-cpu"), "Haswell");
    assert!(one(&forced, "-machine").starts_with("pc,"));
    let fast = config().profile(Profile::Fast).kernel_mmio(MmioDiscovery::CommandLine).force_emulation(true);
    let fast_argv = argv(&fast, &ALL);
    assert!(one(&fast_argv, "-machine").starts_with("microvm,acpi=off,x-option-roms=off,isa-serial=off"));
    assert_eq!(
        values(&fast_argv, "-device").len(),
        values(&forced, "-device").len() + 1,
        "the console is a device now"
    );
    let unknown = fast.clone().kernel_mmio(MmioDiscovery::Unknown);
    let q35: Vec<String> = forced.iter().map(|arg| arg.replace("pc,", "q35,")).collect();
    assert_eq!(argv(&unknown, &ALL), q35, "the same but for the machine");
    assert!(plan(&unknown, &ALL).unwrap().remarks().next().is_some());

    // An uncompressed kernel, where that is measured to be faster.
    for (config, arch, accel, expected) in [
        (&fast, X86_64, Kvm, "vmlinux-x86_64"),
        (&unknown, X86_64, Tcg, "vmlinux-x86_64"),
        (&config().profile(Profile::Fast), X86_64, Kvm, "vmlinuz-x86_64"),
        (&config().profile(Profile::Fast), Aarch64, Tcg, "vmlinuz-aarch64"),
        (&config(), X86_64, Tcg, "vmlinuz-x86_64"),
    ] {
        let facts = bare(arch, Linux, accel);
        let with = argv(&config.clone().pvh_kernel(true), &facts);
        assert_eq!(one(&with, "-kernel"), format!("/boot/{expected}"), "{facts:?}");
        assert_eq!(
            one(&argv(config, &facts), "-kernel"),
            format!("/boot/vmlinuz-{arch}"),
            "nobody says that it is there"
        );
    }
}

#[test]
fn bad_configurations_are_refused() {
    let new = |id: &str| SandboxConfig::new(id, "/run/vm", "/boot");
    for id in ["", "a,b", "a=b", "a b", "a/b", "é", "a\0", "a\nb", &"a".repeat(65)] {
        assert!(matches!(new(id), Err(ConfigError::VmId { .. })), "{id:?}");
    }
    assert!(new("-leading.hyphen_and.dots").is_ok(), "it stands behind `guest=` and `iothread0-`, never alone");
    for mib in [0, 127, 2049, u32::MAX] {
        assert_eq!(config().memory(mib).unwrap_err(), ConfigError::Memory { mib });
    }
    assert!(config().memory(128).is_ok() && config().memory(2048).is_ok());
    for port in ["", "80", "80:", ":80", "0:80", "80:0", "65536:1", "1:2:3", "-1:2", "a:b", "80:80 "] {
        assert!(port.parse::<ExposedPort>().is_err(), "{port:?}");
    }
    let long = format!("/{}", "x".repeat(95));
    assert!(matches!(SandboxConfig::new("a", &long, "/boot"), Err(ConfigError::Socket(_))));
    assert!(matches!(SandboxConfig::new("a", "/run/\0", "/boot"), Err(ConfigError::NulInPath { .. })));
    for user in ["", "#0", "-u", "root user", "ROOT", "a,b"] {
        assert!(config().user(user).is_err(), "{user:?}");
    }
}

#[test]
fn paths_are_escaped_where_qemu_splits_and_nowhere_else() {
    let config = SandboxConfig::new("vm-1", "/run/a,b=c d", "/boot,x").unwrap().allow_network(true);
    let argv = argv(&config, &ALL);
    assert_eq!(parse(one(&argv, "-drive").as_bytes()).get("file").unwrap(), "/run/a,b=c d/overlay.qcow2");
    assert_eq!(parse(values(&argv, "-chardev")[0].as_bytes()).get("path").unwrap(), "/run/a,b=c d/cmd.sock");
    assert_eq!(parse(one(&argv, "-netdev").as_bytes()).get("addr.path").unwrap(), "/run/a,b=c d/gvproxy.sock");
    assert_eq!(one(&argv, "-kernel"), "/boot,x/vmlinuz-x86_64");
    // `-qmp unix:/run/a,b=c` would be read as a key and a value.
    assert!(values(&argv, "-qmp").is_empty());
    assert_eq!(one(&argv, "-mon"), "chardev=qmp,mode=control");
    let qmp = values(&argv, "-chardev")
        .into_iter()
        .map(|value| parse(value.as_bytes()))
        .find(|p| p.get("id").as_deref() == Some("qmp"));
    assert_eq!(qmp.unwrap().get("path").unwrap(), "/run/a,b=c d/qmp.sock");
}

#[test]
fn every_option_of_every_plan_has_a_reason() {
    for version in [None, Some(QemuVersion::new(10, 0, 0))] {
        for facts in hosts(version) {
            for config in configs(Path::new("/run/vm"), Path::new("/boot")) {
                let explained = Plan::explain(&config, &facts).unwrap();
                let plan = plan(&config, &facts).unwrap();
                assert_eq!(explained.command(), plan.command(), "the explanation is of the same command");
                let words: Vec<_> = explained.options().flat_map(|(option, _)| option).collect();
                assert!(words.iter().copied().eq(plan.command().args()), "the options are the whole command");
                assert!(explained.options().all(|(_, reason)| reason.why().len() > 5));
            }
        }
    }
}

/// A planner's plans are those of `plan`, in whatever order it is asked for them.
#[test]
fn a_planner_remembers_and_is_right() {
    for version in [None, Some(QemuVersion::new(7, 2, 0)), Some(QemuVersion::new(10, 0, 0))] {
        for facts in hosts(version) {
            let mut planner = Planner::new(facts.clone());
            let mut reuse = None;
            for config in configs(Path::new("/run/vm"), Path::new("/boot")) {
                for (id, dir) in [
                    ("a", "/d"),
                    ("vm-1", "relative/dir/"),
                    ("Other-name-c1d09", "/work-directory-of-the-sandbox-7f3a"),
                    ("console", "/run/a,b=c d"),
                    ("x.y", "nbd:x"),
                    ("hd0", ""),
                    ("a", "/"),
                ] {
                    let config = config.renamed(id, dir).unwrap();
                    let Ok(expected) = plan(&config, &facts) else {
                        assert!(planner.plan(&config).is_err(), "{facts:?} {id} {dir}");
                        continue;
                    };
                    let found = planner.plan_reusing(&config, reuse.take()).unwrap();
                    assert_eq!(found.command(), expected.command(), "{facts:?} {id} {dir}");
                    assert_eq!((found.machine(), found.console()), (expected.machine(), expected.console()));
                    assert_eq!(found.qemu_version(), expected.qemu_version());
                    assert!(found.remarks().eq(expected.remarks()));
                    reuse = Some(found.into_command());
                }
            }
        }
    }
}

/// A configuration with the very words that stand for others in a skeleton.
#[test]
fn a_planner_is_not_misled_by_words_that_look_like_its_own() {
    for word in ["Name-of-the-sandbox-7f3a", "work-directory-of-the-sandbox-7f3a", "Other-name-c1d09"] {
        let mut planner = Planner::new(ALL);
        for id in ["a", word] {
            let config = SandboxConfig::new(id, format!("/run/{word}"), format!("/{word}/boot")).unwrap();
            let config = config.qemu(format!("/{word}/qemu")).unwrap();
            assert_eq!(planner.plan(&config).unwrap().command(), plan(&config, &ALL).unwrap().command());
        }
    }
}

#[test]
fn a_planner_refuses_what_plan_refuses() {
    let old = ALL.with_qemu_version(Some(QemuVersion::new(5, 2, 0)));
    let mut planner = Planner::new(old);
    assert!(planner.plan(&config()).is_ok());
    let error = planner.plan(&config().allow_network(true)).unwrap_err();
    assert!(matches!(error, PlanError::NetworkVersion { .. }), "{error}");
    assert!(planner.plan(&config()).is_ok());
}
