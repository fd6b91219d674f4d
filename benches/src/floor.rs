//! The floor: the sandbox's command, written by hand for this one configuration into one buffer, without any check.

/// The VM's id.
pub const VM_ID: &str = "job-1";
/// The work directory.
pub const WORK_DIR: &str = "/run/vm-job-1";
/// The kernel directory.
pub const KERNEL_DIR: &str = "/usr/lib/sandbox";

/// The arguments, each ended by a NUL, and where they start.
#[derive(Debug)]
pub struct Floor {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The starts.
    pub starts: Vec<u32>,
}

macro_rules! args {
    ($floor:ident: $($($part:expr)+;)*) => {$(
        // The buffer is far below 4 GiB.
        #[allow(clippy::cast_possible_truncation)]
        $floor.starts.push($floor.bytes.len() as u32);
        $($floor.bytes.extend_from_slice($part.as_bytes());)+
        $floor.bytes.push(0);
    )*};
}

/// Writes the command of [`config`](crate::config) and [`facts`](crate::facts).
#[inline(never)]
pub fn floor(vm_id: &str, work_dir: &str, kernel_dir: &str) -> Floor {
    let mut floor = Floor { bytes: Vec::with_capacity(4096), starts: Vec::with_capacity(80) };
    args! { floor:
        "unshare"; "--pid"; "--mount"; "--uts"; "--ipc"; "--fork"; "--kill-child"; "--";
        "qemu-system-x86_64"; "-accel"; "kvm"; "-cpu"; "host,-svm,-vmx"; "-machine";
        "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off,mem-merge=off,dump-guest-core=off";
        "-nodefaults"; "-no-user-config"; "-m"; "256M"; "-nographic"; "-monitor"; "none";
        "-object"; "iothread,id=iothread0-" vm_id;
        "-name"; "guest=" vm_id;
        "-no-reboot"; "-smp"; "1";
        "-sandbox"; "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        "-kernel"; kernel_dir "/vmlinuz-x86_64";
        "-initrd"; kernel_dir "/initramfs-x86_64";
        "-drive"; "file=" work_dir "/overlay.qcow2,format=qcow2,if=none,id=hd0,cache=unsafe,aio=io_uring,discard=unmap,detect-zeroes=unmap,werror=report,rerror=report,copy-on-read=off,bps=52428800,bps_max=104857600,iops=1000,iops_max=2000,file.locking=off";
        "-device"; "virtio-blk-device,drive=hd0,iothread=iothread0-" vm_id ",num-queues=1,queue-size=128";
        "-chardev"; "socket,id=cmd0,path=" work_dir "/cmd.sock,server=on,wait=off";
        "-chardev"; "socket,id=event0,path=" work_dir "/event.sock,server=on,wait=off";
        "-chardev"; "stdio,id=virtiocon0,mux=on,signal=off";
        "-device"; "virtio-serial-device,max_ports=3";
        "-serial"; "none";
        "-device"; "virtconsole,chardev=virtiocon0,nr=0";
        "-device"; "virtserialport,chardev=cmd0,name=org.dualeai.cmd,nr=1";
        "-device"; "virtserialport,chardev=event0,name=org.dualeai.event,nr=2";
        "-device"; "virtio-balloon-device,deflate-on-oom=on,free-page-reporting=on";
        "-netdev"; "stream,id=net0,addr.type=unix,addr.path=" work_dir "/gvproxy.sock,reconnect-ms=250";
        "-device"; "virtio-net-device,netdev=net0,mq=off,csum=off,gso=off,host_tso4=off,host_tso6=off,mrg_rxbuf=off,ctrl_rx=off,guest_announce=off";
        "-qmp"; "unix:" work_dir "/qmp.sock,server=on,wait=off";
        "-append"; "console=hvc0 loglevel=7 root=/dev/vda rootflags=rw,noatime rootfstype=ext4 rootwait=2 fsck.mode=skip reboot=t panic=-1 preempt=none i8042.noaux i8042.nomux i8042.nopnp i8042.nokbd init=/init random.trust_cpu=on raid=noautodetect mitigations=off nokaslr noresume swiotlb=noforce init.net=1 init.balloon=1 tsc=reliable";
    }
    floor
}
