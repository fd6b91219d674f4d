//! The state of a VM's console.

/// The VM has no console yet. [`Vm`](crate::Vm) lists the states; you never write them.
#[derive(Debug)]
pub struct NoConsole(pub(crate) ());

/// The console is a virtconsole, `hvc0`. [`Vm`](crate::Vm) lists the states; you never write them.
#[derive(Debug)]
pub struct OnVirtconsole(pub(crate) ());

/// The console is the ISA serial port, `ttyS0`. [`Vm`](crate::Vm) lists the states; you never write them.
#[derive(Debug)]
pub struct OnIsaSerial(pub(crate) ());

/// The console is the PL011 UART, `ttyAMA0`. [`Vm`](crate::Vm) lists the states; you never write them.
#[derive(Debug)]
pub struct OnPl011(pub(crate) ());

/// The console is the machine's UART, of a machine type chosen at run time. [`Vm`](crate::Vm) lists the states; you never
/// write them.
#[derive(Debug)]
pub struct OnUart(pub(crate) ());

/// The console is what was set, known at run time only. [`Vm::any_console`](crate::Vm::any_console) leads here; there is an
/// example.
#[derive(Debug)]
pub struct AnyConsole(pub(crate) ());

/// The state of a VM's console. Sealed; [`Vm`](crate::Vm) lists the states, and there is nothing to implement or call.
pub trait Console: sealed::Sealed {}

/// A VM that has no console yet. [`Vm`](crate::Vm) lists the states, and there is nothing to implement or call.
#[diagnostic::on_unimplemented(
    message = "this VM already has its console: `{Self}`",
    label = "a second console",
    note = "a VM has one console, and the kernel gets one `console=`; remove one of the two console calls",
    note = "for a further channel to the guest, add a `VirtSerialPort`"
)]
pub trait ConsoleVacant: Console {}

#[diagnostic::do_not_recommend]
impl ConsoleVacant for NoConsole {}

/// A VM whose console may come yet. [`Vm`](crate::Vm) lists the states, and there is nothing to implement or call.
#[diagnostic::on_unimplemented(
    message = "this VM already has its console: `{Self}`",
    label = "too late for a log beside it",
    note = "call `uart_log` before the console's method"
)]
pub trait MayHaveConsole: Console {}

impl MayHaveConsole for NoConsole {}
impl MayHaveConsole for AnyConsole {}

macro_rules! states {
    ($($name:ident)*) => {$(
        impl Console for $name {}
        impl sealed::Sealed for $name {}
    )*};
}
states!(NoConsole OnVirtconsole OnIsaSerial OnPl011 OnUart AnyConsole);

mod sealed {
    pub trait Sealed {}
}
