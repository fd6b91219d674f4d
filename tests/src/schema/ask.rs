//! Asking a binary what it knows.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::{Launch, LaunchError, Machine};
use qemu_dsl::qmp::{Qmp, QmpError};
use serde_json::{Value, json};

use super::qapi::Qapi;
use crate::Qemu;

const LIMIT: Duration = Duration::from_secs(30);

/// One binary, running without a machine.
#[derive(Debug)]
pub struct Binary<'a> {
    qemu: &'a Qemu,
    arch: Architecture,
    dir: &'a Path,
    qmp: Qmp,
    _machine: Machine,
    qapi: Qapi,
    options: Value,
    machines: HashMap<String, HashMap<String, String>>,
}

/// Starts QEMU with a few arguments, and QMP in `dir`.
fn start(qemu: &Qemu, arch: Architecture, dir: &Path, args: &[&str]) -> Result<(Machine, Qmp), LaunchError> {
    let socket = dir.join("ask.sock");
    let _ = std::fs::remove_file(&socket);
    let mut command = QemuCommand::new(qemu.binary(arch)).expect("a program");
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let args = args.iter().copied().chain(["-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", &qmp]);
    for arg in args {
        command.arg(arg).expect("an argument");
    }
    let machine = Launch::new(&command).start()?;
    let qmp = machine.qmp(&socket, Instant::now() + LIMIT)?;
    Ok((machine, qmp))
}

impl<'a> Binary<'a> {
    /// Starts it; sockets and files go to `dir`.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn start(qemu: &'a Qemu, arch: Architecture, dir: &'a Path) -> Self {
        let (machine, mut qmp) = start(qemu, arch, dir, &["-M", "none"]).expect("QEMU runs");
        qmp.set_memory_limit(64 << 20);
        let mut ask = |command: &str| qmp.execute(command, None, LIMIT).expect("QEMU tells about itself");
        let (qapi, options) = (Qapi::new(&ask("query-qmp-schema")), ask("query-command-line-options"));
        Self { qemu, arch, dir, qmp, _machine: machine, qapi, options, machines: HashMap::new() }
    }

    /// The architecture of its guests.
    pub fn arch(&self) -> Architecture {
        self.arch
    }

    /// What it is.
    pub fn qemu(&self) -> &Qemu {
        self.qemu
    }

    /// Where it puts its sockets.
    pub fn dir(&self) -> &Path {
        self.dir
    }

    /// The schema of its commands.
    pub fn qapi(&self) -> &Qapi {
        &self.qapi
    }

    /// Names and types of a list of properties.
    fn properties(list: &Value) -> HashMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|property| (text(&property["name"]), text(&property["type"]))).collect()
    }

    fn listed(&mut self, command: &str, typename: &str) -> Option<HashMap<String, String>> {
        match self.qmp.execute(command, Some(json!({ "typename": typename })), LIMIT) {
            Ok(list) => Some(Self::properties(&list)),
            Err(QmpError::Refused { .. }) => None,
            Err(error) => panic!("{command} {typename}: {error}"),
        }
    }

    /// The properties of a device type, if it is one.
    pub fn device(&mut self, name: &str) -> Option<HashMap<String, String>> {
        self.listed("device-list-properties", name)
    }

    /// The properties of an object type, if it is one.
    pub fn object(&mut self, name: &str) -> Option<HashMap<String, String>> {
        self.listed("qom-list-properties", name)
    }

    /// The properties of a machine type, if it is one: of a machine that runs, since asking for a type's makes QEMU 5.2 abort.
    pub fn machine(&mut self, name: &str) -> Option<HashMap<String, String>> {
        if !self.machines.contains_key(name) {
            let (_machine, mut qmp) = start(self.qemu, self.arch, self.dir, &["-M", name]).ok()?;
            let list =
                qmp.execute("qom-list", Some(json!({ "path": "/machine" })), LIMIT).expect("a machine has properties");
            self.machines.insert(name.to_owned(), Self::properties(&list));
        }
        self.machines.get(name).cloned()
    }

    /// The names of its CPU models.
    pub fn cpu(&mut self, name: &str) -> bool {
        // RISC-V's older emulators have no such command.
        if self.arch == Architecture::Riscv64 {
            return self.starts_with(&["-M", "virt", "-cpu", name]);
        }
        let list = self.qmp.execute("query-cpu-definitions", None, LIMIT).expect("CPU models");
        list.as_array().is_some_and(|list| list.iter().any(|model| model["name"] == name))
    }

    /// The type of a command-line option, as far as QEMU lists it.
    pub fn option(&self, group: &str, key: &str) -> Option<String> {
        let groups = self.options.as_array()?;
        let group = groups.iter().find(|option| option["option"] == group)?;
        let parameter = group["parameters"].as_array()?.iter().find(|parameter| parameter["name"] == key)?;
        parameter["type"].as_str().map(ToOwned::to_owned)
    }

    /// Whether it starts with these arguments.
    pub fn starts_with(&self, args: &[&str]) -> bool {
        match start(self.qemu, self.arch, self.dir, args) {
            Ok(_) => true,
            Err(LaunchError::Exited { .. }) => false,
            Err(error) => panic!("{args:?}: {error}"),
        }
    }
}
