//! What a VM boots, and its console.

use std::os::unix::ffi::OsStrExt as _;

use super::checks;
use super::error::BuildError;
use super::explain::Reason;
use super::inner::{Inner, KernelState};
use crate::backend::Chardev;
use crate::command::CommandError;
use crate::device::VirtConsole;
use crate::kernel::Kernel;
use crate::machine::Uart;
use crate::opts::{Handle as _, OptError, QemuOpts as _, Token};

impl Inner {
    /// Adds the console on port 0 of a virtio-serial controller.
    pub(crate) fn virtconsole(&mut self, console: &VirtConsole) {
        if !self.takes_console() {
            return;
        }
        if !self.has_serial {
            self.has_serial = true;
            self.raw("-serial", "the console is a virtconsole, and a second one would take its output", &[b"none"]);
        }
        self.device(None, "virtconsole", false, None, &mut |writer| console.write_opts(writer));
        self.because("-device", || Reason::new("the console, hvc0 in the guest, on the controller's port 0"));
        self.console = Some("hvc0");
    }

    /// Makes the machine's UART the console, by connecting it with a character device.
    pub(crate) fn serial(&mut self, uart: Uart, chardev: &Chardev) {
        if self.takes_console() {
            self.console = self.connect_uart(uart, chardev, "the console, on the machine's UART");
        }
    }

    /// Connects the machine's UART for the kernel's messages.
    pub(crate) fn log(&mut self, uart: Uart, chardev: &Chardev) {
        self.log = self.connect_uart(uart, chardev, "the kernel's messages, on the machine's UART");
    }

    fn connect_uart(&mut self, uart: Uart, chardev: &Chardev, why: &'static str) -> Option<&'static str> {
        let uart = uart.or(self.board.facts.uart);
        if uart.is_none() || self.has_serial {
            self.error(if self.has_serial { BuildError::UartTaken } else { BuildError::NoUart });
            return None;
        }
        self.has_serial = true;
        let part = chardev.part(Token::OWN);
        if part.place.vm == self.tag {
            self.uses(part.place.part);
            self.raw("-serial", why, &[b"chardev:", part.id.as_bytes()]);
        } else {
            let source = OptError::ForeignHandle { option: "chardev".to_owned(), id: part.id.to_string() };
            self.error(CommandError::Option { flag: "-serial", source }.into());
        }
        uart.map(Uart::linux_name)
    }

    /// Whether there is no console yet; otherwise that is an error.
    fn takes_console(&mut self) -> bool {
        if self.console.is_some() {
            self.error(BuildError::SecondConsole);
        }
        self.console.is_none()
    }

    /// Notes the use of a part in an argument that is not written by a writer.
    fn uses(&mut self, part: u32) {
        self.command.scratch.noted.argument = self.command.len();
        self.command.scratch.noted.uses(part, false);
    }

    pub(crate) fn kernel(&mut self, kernel: &Kernel<'_>) {
        for (path, what) in [(Some(kernel.image), "a kernel"), (kernel.initrd, "an initial RAM disk")] {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                self.error(BuildError::EmptyPath { what });
            }
        }
        self.raw("-kernel", "the guest kernel, booted without a boot loader", &[kernel.image.as_os_str().as_bytes()]);
        if let Some(initrd) = kernel.initrd {
            self.raw("-initrd", "the initial RAM disk", &[initrd.as_os_str().as_bytes()]);
        }
        self.kernel = if kernel.is_linux { KernelState::Linux } else { KernelState::AsItIs };
        self.command.scratch.cmdline.clear();
        self.command.scratch.cmdline.extend_from_slice(kernel.cmdline.unwrap_or_default().as_bytes());
    }

    pub(super) fn append(&mut self) {
        let consoles = match self.kernel {
            KernelState::None => return,
            KernelState::AsItIs => [None, None],
            // Linux gives `/dev/console` to the last one.
            KernelState::Linux => [self.log, self.console],
        };
        let cmdline = std::mem::take(&mut self.command.scratch.cmdline);
        if let Some(console) = self.console
            && self.kernel == KernelState::Linux
        {
            self.errors.extend(checks::console_parameters(&cmdline, console));
        }
        let mut parts: [&[u8]; 7] = [&[]; 7];
        let mut at = 0;
        for console in consoles.into_iter().flatten() {
            parts[at..at + 3].copy_from_slice(&[b"console=", console.as_bytes(), b" "]);
            at += 3;
        }
        if cmdline.is_empty() {
            // Without the last space.
            at = at.saturating_sub(1);
        }
        parts[at] = &cmdline;
        let parts = &parts[..=at];
        let len = parts.iter().map(|part| part.len()).sum();
        self.check_cmdline(len);
        if len > 0 {
            self.raw("-append", "the kernel command line, with the VM's console first", parts);
        }
        self.command.scratch.cmdline = cmdline;
    }
}
