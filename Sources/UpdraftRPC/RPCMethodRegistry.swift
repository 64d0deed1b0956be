internal import MessagePack

/// Where methods are registered: a table (`RPCMethods`) or a server, which has one.
///
/// `register` takes a closure, or a function, of any number of parameters, with or without the
/// calling `RPCPeer` as the first, throwing or not, with a result or none. A synchronous one runs
/// in the connection's read callback, without a task; an asynchronous one runs as a task of its own
/// on the loop, cancelled when the connection is lost. Parameters and result are types that
/// MessagePack can carry: scalars, strings, `[UInt8]`, arrays, dictionaries, optionals,
/// `MessagePackValue`, your own.
///
/// ```swift
/// rpc.register("sum") { (x: Int, y: Int) in x + y }
/// rpc.register("login") { (peer: RPCPeer, uid: String) in rpc.users[uid] = peer }
/// rpc.register("fetch") { (key: String) in try await store.value(of: key) }
/// ```
///
/// The closure's parameters need their types. Take care that a result's type can be encoded: a
/// single-expression closure with a result that can't be is taken for one without a result, with a
/// warning of the compiler. Registering a name twice is a mistake, which `RPCServer.bind`,
/// `RPCServer.serve` and `RPCClient.connect` throw.
public protocol RPCMethodRegistry: AnyObject {
    /// The table that methods are added to.
    var methods: RPCMethods { get }
}

extension RPCMethodRegistry {
    func add<each A>(
        _ name: String, _ types: repeat (each A).Type, result: Any.Type? = nil,
        file: String, line: Int, _ body: RPCMethod.Body
    ) {
        var parameters: [String] = []
        repeat parameters.append("\(each types)")
        methods.add(
            RPCMethod(
                name, body, parameters: parameters, result: result.map { "\($0)" },
                place: RPCSourcePlace(file: file, line: line)))
    }
}
