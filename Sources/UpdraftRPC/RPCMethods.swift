internal import MessagePack

/// A table of methods that a peer may call.
///
/// A server has one as `methods`; several servers may share one, and a client gives one to
/// `RPCClient.connect` so that the server can call it.
///
/// ```swift
/// let methods = RPCMethods()
/// methods.register("confirm") { (question: String) in question == "sure?" }
/// let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5700, methods: methods)
/// ```
///
/// Every table has two methods of its own: `rpc.methods` answers the sorted names of the others,
/// `rpc.describe` an array of maps with their `name`, `arity`, `parameters` (Swift types) and
/// `result` (a Swift type, or nil). Names that begin with `rpc.` are reserved.
public final class RPCMethods: RPCMethodRegistry {
    private var table = MethodTable()
    private var firstMistake: RPCError?

    static let reservedPrefix = "rpc."

    /// A table with nothing but `rpc.methods` and `rpc.describe`.
    public init() {
        register("rpc.methods", result: "[String]") { methods, writer in
            try methods.names.encode(into: &writer)
        }
        register("rpc.describe", result: "[MessagePackValue]") { methods, writer in
            try methods.offered.map(\.description).encode(into: &writer)
        }
    }

    /// Itself.
    public var methods: RPCMethods { self }

    /// The names of the registered methods, sorted, without those of the table itself.
    public var names: [String] { offered.map(\.name) }

    /// Adds all methods of another table. Those with a name that is taken are mistakes, which are
    /// told as after `register`.
    public func merge(_ other: RPCMethods) {
        for method in other.offered { add(method) }
        if firstMistake == nil { firstMistake = other.firstMistake }
    }

    /// Throws what was wrong with a registration, so that a program with such a mistake does not
    /// start: servers call it when they bind, clients when they connect.
    ///
    /// - Throws: `RPCError` with `.duplicateMethod`, which names both places, or
    ///   `.reservedName`.
    public func validate() throws {
        if let firstMistake { throw firstMistake }
    }

    func find(_ name: UnsafeRawBufferPointer) -> RPCMethod? {
        table.find(name)
    }

    func add(_ method: RPCMethod) {
        if method.name.hasPrefix(RPCMethods.reservedPrefix) {
            return note(
                .reservedName,
                "The method '\(method.name)' is registered at \(method.place), but names that "
                    + "begin with '\(RPCMethods.reservedPrefix)' are reserved.")
        }
        if let other = table.find(method.name) {
            return note(
                .duplicateMethod,
                "The method '\(method.name)' is registered twice: at \(other.place) and at "
                    + "\(method.place).")
        }
        table.insert(method)
    }

    private var offered: [RPCMethod] {
        table.methods
            .filter { !$0.name.hasPrefix(RPCMethods.reservedPrefix) }
            .sorted { $0.name < $1.name }
    }

    private func note(_ code: RPCError.Code, _ message: String) {
        if firstMistake == nil { firstMistake = RPCError(code, message) }
    }

    private func register(
        _ name: String, result: String,
        _ answer: @escaping (RPCMethods, inout MessagePackWriter) throws -> Void
    ) {
        let body: RPCMethod.Immediate = { [unowned self] _, _, writer in try answer(self, &writer) }
        table.insert(
            RPCMethod(
                name, .immediate(body), parameters: [], result: result,
                place: RPCSourcePlace(file: #fileID, line: #line)))
    }
}
