//! From where a guest can be reached.

use std::str::FromStr;

use super::PolicyError;

/// A port of the guest that answers on the host.
///
/// ```
/// use qemu_dsl::policy::ExposedPort;
/// let web: ExposedPort = "80:8080".parse()?;
/// assert_eq!((web.internal, web.external), (80, 8080));
/// # Ok::<(), qemu_dsl::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExposedPort {
    /// The port in the guest.
    pub internal: u16,
    /// The port on the host.
    pub external: u16,
}

impl FromStr for ExposedPort {
    type Err = PolicyError;

    /// Reads `INTERNAL:EXTERNAL`.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        text.split_once(':')
            .and_then(|(internal, external)| Some(Self { internal: port(internal)?, external: port(external)? }))
            .ok_or_else(|| PolicyError::Port { text: text.to_owned() })
    }
}

/// What the guest can reach, and from where it can be reached.
///
/// ```
/// use qemu_dsl::policy::NetworkMode;
/// assert!(NetworkMode::PortsAndInternet.has_internet() && !NetworkMode::Ports.has_internet());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// No network device at all.
    None,
    /// The host reaches exposed ports; the guest reaches nothing.
    Ports,
    /// The host reaches exposed ports; the guest reaches what the [policy](super::NetworkPolicy) allows.
    PortsAndInternet,
    /// The guest reaches what the [policy](super::NetworkPolicy) allows.
    Internet,
}

impl NetworkMode {
    /// Whether the guest reaches anything outside.
    pub const fn has_internet(self) -> bool {
        matches!(self, Self::PortsAndInternet | Self::Internet)
    }
}
