import EngineClient

/// The same request for each of several containers, up to 50 at a time, told of in the order they were named.
enum ContainersOperation {
  /// `done` may replace the name as what is printed. Errors are gathered and thrown together at the end.
  static func run(
    _ invocation: Invocation, _ names: [String], forgivesMissing: Bool = false, _ request: (String) throws -> Request
  )
    throws
  {
    let client = try invocation.client
    var errors: [String] = []
    var rest = names[...]
    while !rest.isEmpty {
      let batch = rest.prefix(50)
      rest = rest.dropFirst(50)
      let exchanges = batch.map { name in (name, Result { try client.begin(try request(name)) }) }
      for (name, begun) in exchanges {
        do {
          _ = try begun.get().response().readAll()
          invocation.output.line(name)
          invocation.output.flush()
        } catch {
          if forgivesMissing, (error as? ClientError)?.status == 404 {
            invocation.context.printError("\(error)")
          } else if let failure = error as? CommandFailure {
            errors.append(failure.message)
          } else {
            errors.append("\(error)")
          }
        }
      }
    }
    guard errors.isEmpty else { throw CommandFailure(errors.joined(separator: "\n")) }
  }
}
