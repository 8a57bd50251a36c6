import Errdefs

/// Containers' names: what is allowed, and those that the engine makes up.
enum ContainerNames {
  /// Without the slash that clients may put in front. Throws Docker's text for a name that isn't allowed.
  static func check(_ name: String) throws -> String {
    let bare = name.hasPrefix("/") ? String(name.dropFirst()) : name
    let bytes = Array(bare.utf8)
    let allowed =
      bytes.count >= 2 && isWord(bytes[0]) && bytes.dropFirst().allSatisfy { isWord($0) || "_.-".utf8.contains($0) }
    guard allowed else {
      throw EngineError.invalidParameter(
        "Invalid container name (\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    }
    return bare
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }

  /// `calm_lovelace`; a digit at the end after the first try.
  static func random(attempt: Int) -> String {
    let name = "\(adjectives.randomElement() ?? "calm")_\(surnames.randomElement() ?? "hopper")"
    return attempt == 0 ? name : name + String(Int.random(in: 0...9))
  }

  static let adjectives = [
    "able", "amber", "ample", "apt", "ardent", "astute", "balmy", "blithe", "bold", "brave", "breezy", "bright",
    "brisk", "calm",
    "candid", "careful", "cheerful", "civil", "clear", "clever", "constant", "cool", "cordial", "crisp", "curious",
    "daring",
    "deft", "diligent", "eager", "earnest", "easy", "elated", "exact", "fair", "faithful", "fearless", "festive",
    "fine", "firm",
    "fleet", "fluent", "fond", "frank", "fresh", "gallant", "genial", "gentle", "gifted", "glad", "golden", "graceful",
    "grand",
    "happy", "hardy", "hearty", "honest", "hopeful", "humble", "ideal", "jolly", "jovial", "joyful", "just", "keen",
    "kind",
    "lively", "loyal", "lucid", "lucky", "mellow", "merry", "mighty", "mild", "modest", "neat", "nimble", "noble",
    "novel",
    "patient", "peaceful", "placid", "plucky", "poised", "polite", "prompt", "proud", "prudent", "quick", "quiet",
    "radiant",
    "ready", "robust", "rosy", "sage", "serene", "sharp", "silent", "sincere", "smart", "smooth", "snug", "sober",
    "solid",
    "sound", "spry", "stable", "steady", "stoic", "sturdy", "sunny", "sure", "swift", "tender", "thrifty", "tidy",
    "trim", "true",
    "upbeat", "valiant", "vivid", "warm", "wise", "witty", "zealous", "zesty",
  ]

  /// Of people who made sea, sky, numbers and machines better known.
  static let surnames = [
    "abel", "agnesi", "ampere", "anning", "babbage", "banks", "bassi", "bell", "bernoulli", "bohr", "boole", "brahe",
    "cannon",
    "cantor", "carson", "cauchy", "cavendish", "chandrasekhar", "clarke", "columbus", "cook", "copernicus", "curie",
    "dalton",
    "darwin", "davy", "descartes", "dijkstra", "dirac", "drake", "earhart", "einstein", "erdos", "euclid", "euler",
    "faraday",
    "fermat", "fermi", "feynman", "fibonacci", "fourier", "franklin", "galileo", "galois", "gauss", "germain", "goedel",
    "goodall", "halley", "hamilton", "herschel", "hilbert", "hipparchus", "hopper", "hubble", "humboldt", "huygens",
    "hypatia",
    "johnson", "joule", "kepler", "khayyam", "kovalevskaya", "lagrange", "lamarr", "laplace", "lavoisier", "leavitt",
    "leibniz",
    "linnaeus", "lovelace", "magellan", "maury", "maxwell", "mcclintock", "meitner", "mendel", "mendeleev", "mercator",
    "mitchell",
    "nansen", "napier", "newton", "nightingale", "noether", "ohm", "pascal", "pasteur", "payne", "planck", "poincare",
    "polya",
    "ptolemy", "ramanujan", "riemann", "ritchie", "rubin", "rutherford", "sagan", "sammet", "shannon", "shackleton",
    "snell",
    "somerville", "stokes", "tereshkova", "tesla", "thales", "torvalds", "turing", "vespucci", "volta", "wallis",
    "watt",
    "wegener", "wiles", "wilkes", "wu", "young", "zuse",
  ]
}
