/// Types of the Open Container Initiative's specifications, and the JSON they are written in.
///
/// Owns: `JSON` (an ordered value with a parser and a writer fast enough for the way of `run`), `Digest`, `Reference`,
/// the runtime specification's `config.json` (`RuntimeSpec`) and the image specification's documents.
///
/// Must not: touch the disk, know of the engine, or import anything. It is compiled into the shim.
public enum OCI {
  /// The runtime-spec version that Berth writes into `config.json`.
  public static let runtimeVersion = "1.2.0"
}
