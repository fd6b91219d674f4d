//! The namespaces that a sandboxed QEMU gets.

/// The `unshare` command that QEMU is started with: process ids, mounts, host name, System V IPC, and without a network
/// of its own unless one is `allowed`. `--kill-child` ends QEMU when `unshare` ends. (`man 1 unshare`, util-linux 2.32)
pub(crate) const fn unshare(allow_network: bool) -> &'static [&'static str] {
    if allow_network {
        &["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--"]
    } else {
        &["unshare", "--pid", "--net", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--"]
    }
}
