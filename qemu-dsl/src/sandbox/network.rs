//! The network of a sandbox on its host: gvproxy, held as QEMU is, and the filter between the two.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::config::SandboxConfig;
use super::place::{Place, PlaceError};
use super::plan::Plan;
use crate::facts::HostFacts;
use crate::isolation::{Dropped, Isolation, Jail, unshare, unshare_user};
use crate::network::{Network, NetworkError, NetworkOptions};
use crate::policy::NetworkMode;

/// A sandbox's network, with gvproxy's own directory and user. Dropping it ends it.
#[derive(Debug)]
pub struct SandboxNetwork {
    // In this order they end.
    network: Network,
    _place: Place,
}

/// Why a sandbox has no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxNetworkError {
    /// There is no place for gvproxy.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// gvproxy, or what is between it and QEMU, cannot be started.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// What gvproxy reads of the host: how names are looked up.
const NAMES: [&str; 4] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf"];

impl SandboxNetwork {
    /// Starts the network of a plan, if it has one: before [`Place::hand_over`], and before QEMU, which connects to it. gvproxy is
    /// held as QEMU is, as another user than QEMU's where the launcher is root, with the host's network only where the guest is to
    /// reach more than what is exposed.
    ///
    /// # Errors
    ///
    /// [`SandboxNetworkError`]; nothing is left running then.
    pub fn start(
        gvproxy: &OsStr,
        config: &SandboxConfig,
        facts: &HostFacts,
        plan: &Plan,
        place: &Place,
    ) -> Result<Option<Self>, SandboxNetworkError> {
        let mode = config.network();
        if mode == NetworkMode::None {
            return Ok(None);
        }
        let own = place.beside(facts)?;
        let program = crate::programs::find(gvproxy);
        let wrapper = wrapper(plan.isolation(), facts, mode, &own, program.as_deref());
        let mut options = NetworkOptions::new(mode, own.path(), &config.paths().gvproxy)
            .gvproxy(gvproxy)
            .expose(config.exposed().iter().copied())
            .policy(config.policy().clone())
            .wrapper(wrapper);
        if let Some((uid, gid)) = place.user() {
            options = options.uid(uid).group(gid);
        }
        own.share().map_err(PlaceError::from)?;
        Ok(Some(Self { network: Network::start(options)?, _place: own }))
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// The words before gvproxy.
fn wrapper(
    level: Isolation,
    facts: &HostFacts,
    mode: NetworkMode,
    place: &Place,
    program: Option<&Path>,
) -> Vec<OsString> {
    // Where the guest reaches nothing, there is nothing for gvproxy to reach.
    let network = mode != NetworkMode::Ports;
    let dropped = place.ids().map(|(uid, gid)| Dropped {
        user: uid.to_string().into(),
        group: gid.to_string().into(),
        extra: None,
    });
    if level == Isolation::Jail {
        let read = program.filter(|program| !program.starts_with("/usr")).into_iter().collect();
        let jail = Jail {
            network,
            dir: Some(place.path()),
            read,
            read_if_there: &NAMES,
            dropped: dropped.as_ref(),
            ..Jail::default()
        };
        return jail.words();
    }
    let own: &[&str] = match (level, network) {
        (Isolation::Namespaces, _) if facts.unshare => unshare(network),
        (Isolation::Namespaces, _) => unshare_user(network),
        (_, false) if facts.unshare => &["unshare", "--net", "--"],
        (_, false) if facts.unshare_user => &["unshare", "--user", "--map-current-user", "--net", "--"],
        _ => &[],
    };
    let mut words: Vec<OsString> = own.iter().map(Into::into).collect();
    if let Some(dropped) = &dropped {
        dropped.words(&mut words);
    }
    words
}
