import CLinux
import Dispatch
public import Errdefs
public import Kernel
public import OCI
import Rootfs
import Synchronization

/// Overlays made ahead: mounting one takes ext4 half a millisecond (its work directory). They are detached mounts, held by a descriptor and seen by nobody; they end with it.
extension OverlaySnapshotter {
  /// What overlays are made ahead of.
  struct Recipe: Hashable {
    var layers: [Digest]
    var volatile: Bool
  }

  struct AheadState {
    /// The recipes that were asked for lately, the last one at the end.
    var recipes: [Recipe] = []
    var ready: [Recipe: [Overlay]] = [:]
    /// Of snapshots that haven't been started yet.
    var claimed: [String: SharedDescriptor] = [:]
    var isDue = false
    /// The kernel is too old (before 6.8), or forbids it.
    var isImpossible = false
  }

  struct Overlay {
    /// In the pool; begins with `aheadPrefix`, since nothing else may be made of it.
    var name: String
    var mount: SharedDescriptor
  }

  static let aheadPrefix = "ahead-"
  /// Overlays kept ready for each recipe, and the number of recipes.
  private static let aheadSize = 4
  private static let recipeCount = 4
  /// The processors have a container to start first.
  private static let refillDelay = DispatchTimeInterval.milliseconds(15)
  /// How long a snapshot that isn't started keeps its overlay.
  private static let claimTime = DispatchTimeInterval.seconds(2)

  public func prepareToStart(_ id: String, layers: [Digest], volatile: Bool) throws(EngineError) -> Snapshot {
    guard Self.isName(id) else { throw .invalidParameter("invalid snapshot name \"\(id)\"") }
    let recipe = Recipe(layers: layers, volatile: volatile)
    let overlay = state.withLock { state -> Overlay? in
      guard state.snapshots[id] == nil, layers.allSatisfy({ state.layers[$0] != nil }),
        let overlay = state.ahead.ready[recipe]?.popLast()
      else { return nil }
      // The layers' users are the overlay's, from now on the snapshot's.
      state.snapshots[id] = layers
      return overlay
    }
    defer { makeAhead(recipe) }
    guard let overlay else { return try prepare(id, layers: layers) }
    do throws(SyscallError) { try Sys.rename("\(poolPath)/\(overlay.name)", to: snapshotPath(id)) } catch {
      release(id)
      throw .system("prepare snapshot \(id): \(error)", cause: error)
    }
    state.withLock { $0.ahead.claimed[id] = overlay.mount }
    poolQueue.asyncAfter(deadline: .now() + Self.claimTime) { [self] in _ = takeMount(id) }
    do throws(EngineError) { return try snapshot(id, layers) } catch {
      try remove(id)
      throw error
    }
  }

  public func takeMount(_ id: String) -> SharedDescriptor? {
    state.withLock { $0.ahead.claimed.removeValue(forKey: id) }
  }

  /// Has overlays made of a recipe, a little later; the recipe that was asked for least lately is forgotten.
  private func makeAhead(_ recipe: Recipe) {
    let (isDue, forgotten) = state.withLock { state -> (Bool, Recipe?) in
      guard !state.ahead.isImpossible else { return (false, nil) }
      state.ahead.recipes.removeAll { $0 == recipe }
      state.ahead.recipes.append(recipe)
      let forgotten = state.ahead.recipes.count > Self.recipeCount ? state.ahead.recipes.removeFirst() : nil
      defer { state.ahead.isDue = true }
      return (!state.ahead.isDue, forgotten)
    }
    if let forgotten { poolQueue.async { [self] in dropAhead { $0 == forgotten } } }
    guard isDue else { return }
    poolQueue.asyncAfter(deadline: .now() + Self.refillDelay) { [self] in
      let recipes = state.withLock { state in
        state.ahead.isDue = false
        return state.ahead.recipes
      }
      for recipe in recipes.reversed() { fillAhead(recipe) }
    }
  }

  private func fillAhead(_ recipe: Recipe) {
    while true {
      let held: (root: RootAttributes, chains: [ImageMounts.Chain])? = state.withLock { state in
        guard state.ahead.recipes.contains(recipe), state.ahead.ready[recipe, default: []].count < Self.aheadSize,
          !state.ahead.isImpossible
        else { return nil }
        var root = RootAttributes.usual
        for layer in recipe.layers {
          guard let found = state.layers[layer], !found.isCondemned else { return nil }
          root = found.root ?? root
        }
        for layer in recipe.layers { state.layers[layer]?.users += 1 }
        return (root, Self.chains(lowers(recipe.layers, state)))
      }
      guard let (root, chains) = held else { return }
      mounts.hold(chains)
      let name = Self.aheadPrefix + newPoolName()
      do throws(RootfsError) {
        let overlay = Overlay(name: name, mount: SharedDescriptor(try makeOverlay(name, recipe, root)))
        let isWanted = state.withLock { state in
          guard state.ahead.recipes.contains(recipe) else { return false }
          state.ahead.ready[recipe, default: []].append(overlay)
          return true
        }
        if !isWanted { discard([overlay], recipe) }
      } catch {
        switch Errno(rawValue: error.errno) {
        case .invalidArgument, .noSuchCall, .notPermitted, .noSuchDevice:
          state.withLock { $0.ahead.isImpossible = true }
        default: break
        }
        onFailure(SyscallError("make ahead", error.message, Errno(rawValue: error.errno)))
        discardPooled(name)
        release(recipe.layers)
        return
      }
    }
  }

  private func makeOverlay(_ name: String, _ recipe: Recipe, _ root: RootAttributes) throws(RootfsError) -> Descriptor {
    let path = "\(poolPath)/\(name)"
    let lower: [String]
    do { lower = try lowerPaths(recipe.layers) } catch {
      let errno = (error as? SyscallError)?.errno.rawValue ?? Errno.io.rawValue
      throw RootfsError(step: "rootfs", errno: errno, object: path, "make an overlay ahead: \(error)")
    }
    do throws(SyscallError) {
      try makeDirectories(path)
      try applyRoot(root, to: path)
      let mount = try Rootfs.detachedOverlay(
        lower: lower, upper: "\(path)/upper", work: "\(path)/work",
        volatile: recipe.volatile)
      // The image's names may lead anywhere: they are followed inside the tree alone.
      let tree = Root(owning: Descriptor(owning: try Sys.fcntl(mount.raw, F_DUPFD_CLOEXEC, 0)))
      for point in mountPoints {
        if point.hasSuffix("/") { _ = try tree.makeDirectory(point) } else { _ = try tree.makeFile(point) }
      }
      return mount
    } catch { throw RootfsError(step: "rootfs", path, error, doing: "make an overlay ahead") }
  }

  /// Lets go of overlays that nobody took.
  func dropAhead(_ isDropped: (Recipe) -> Bool) {
    let dropped = state.withLock { state in
      let dropped = state.ahead.ready.filter { isDropped($0.key) }
      for recipe in dropped.keys { state.ahead.ready[recipe] = nil }
      state.ahead.recipes.removeAll(where: isDropped)
      return dropped
    }
    for (recipe, overlays) in dropped { discard(overlays, recipe) }
  }

  private func discard(_ overlays: [Overlay], _ recipe: Recipe) {
    for overlay in overlays {
      discardPooled(overlay.name)
      release(recipe.layers)
    }
  }

  private func discardPooled(_ name: String) {
    do throws(SyscallError) { try trash.discard("\(poolPath)/\(name)") } catch { onFailure(error) }
  }
}
