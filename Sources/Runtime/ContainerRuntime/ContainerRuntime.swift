/// The birth, the execs and the state of one container: an OCI runtime as a library.
///
/// `berth-shim` calls it directly; `berth-runtime` puts runc's command line on it. Single-threaded callers only: the child of
/// `clone3` goes on in Swift (DESIGN.md rule 6). Reports failures as `LaunchFailure`.
///
/// Owns: `LaunchPlan`, the launch (parent's half) and the init stage (child's half) with their numbered steps, exec into a
/// running container, user and group look-up in the container's own `/etc`, capabilities, rlimits.
///
/// Must not: import Foundation, NIO, Dispatch or use async; write logs or copy stdio (the shim's work); know of the daemon.
public enum ContainerRuntime {}
