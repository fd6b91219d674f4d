//! Why there is no group.

use std::io;

use super::NAME_LIMIT;
use super::limits::Controller;

/// Why there is no group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// There is no tree that this process may make groups in.
    #[error("no control group can be made: {reason}")]
    NotDelegated {
        /// Why not.
        reason: String,
    },
    /// A limit needs a controller that the tree does not have.
    #[error("`{tree}` has no controller `{controller}`: {reason}")]
    NoController {
        /// The tree.
        tree: String,
        /// What it does not have.
        controller: Controller,
        /// Why not.
        reason: String,
    },
    /// The tree has processes that this one does not move.
    #[error(
        "`{tree}` cannot have groups with limits while processes are in it: {processes}; start this program in a group of its own ({remedy})"
    )]
    Occupied {
        /// The tree.
        tree: String,
        /// Some of the processes.
        processes: String,
        /// How to get such a group.
        remedy: &'static str,
    },
    /// This process may not bring processes into the tree from where it is.
    #[error(
        "no process can be brought into `{tree}` from `{own}`, where this one is: `{above}/cgroup.procs`, above both, is not this user's to write; start this program inside `{tree}`, or as root"
    )]
    Outside {
        /// The tree.
        tree: String,
        /// The group of this process.
        own: String,
        /// The group that both are in.
        above: String,
    },
    /// The name cannot be a part of a group's.
    #[error(
        "`{}` is no name of a control group: it has 1 to {NAME_LIMIT} bytes, and no `/`, line break or NUL", name.escape_debug()
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The group's directory cannot be made.
    #[error("the control group `{path}` cannot be made: {source}")]
    Make {
        /// The directory.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A file of a group does not take a value.
    #[error("the control group's `{path}` cannot be set to `{value}`: {source}")]
    Set {
        /// The file.
        path: String,
        /// The value.
        value: String,
        /// Why not.
        source: io::Error,
    },
}
