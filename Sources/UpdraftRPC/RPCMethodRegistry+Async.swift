public import MessagePack

// Asynchronous methods. The first parameter stands before the pack: the optimising compiler of
// Swift 6.3.1 crashes on an async closure literal whose parameters are a pack alone. So there are
// overloads for no parameter, for one and more, and for the peer and any number.
extension RPCMethodRegistry {
    /// Registers an asynchronous method without parameters that has a result; see
    /// `RPCMethodRegistry`.
    public func register<R: MessagePackEncodable>(
        _ name: String, _ body: nonisolated(nonsending) @escaping () async throws -> R,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, result: R.self, file: file, line: line,
            .deferred { _, _ in
                {
                    let result = try await body()
                    return { try result.encode(into: &$0) }
                }
            })
    }

    /// Registers an asynchronous method without parameters and result; see `RPCMethodRegistry`.
    public func register(
        _ name: String, _ body: nonisolated(nonsending) @escaping () async throws -> Void,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, file: file, line: line,
            .deferred { _, _ in
                {
                    try await body()
                    return { $0.writeNil() }
                }
            })
    }

    /// Registers an asynchronous method with parameters and a result; see `RPCMethodRegistry`.
    public func register<
        A0: MessagePackDecodable, each A: MessagePackDecodable, R: MessagePackEncodable
    >(
        _ name: String,
        _ body: nonisolated(nonsending) @escaping (A0, repeat each A) async throws -> R,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, A0.self, repeat (each A).self, result: R.self, file: file, line: line,
            .deferred { _, arguments in
                let first = try arguments.next(A0.self)
                let rest = (repeat try arguments.next((each A).self))
                return {
                    let result = try await body(first, repeat each rest)
                    return { try result.encode(into: &$0) }
                }
            })
    }

    /// Registers an asynchronous method with parameters and no result; see `RPCMethodRegistry`.
    public func register<A0: MessagePackDecodable, each A: MessagePackDecodable>(
        _ name: String,
        _ body: nonisolated(nonsending) @escaping (A0, repeat each A) async throws -> Void,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, A0.self, repeat (each A).self, file: file, line: line,
            .deferred { _, arguments in
                let first = try arguments.next(A0.self)
                let rest = (repeat try arguments.next((each A).self))
                return {
                    try await body(first, repeat each rest)
                    return { $0.writeNil() }
                }
            })
    }

    /// Registers an asynchronous method that takes the calling peer and has a result; see
    /// `RPCMethodRegistry`.
    public func register<each A: MessagePackDecodable, R: MessagePackEncodable>(
        _ name: String,
        _ body: nonisolated(nonsending) @escaping (RPCPeer, repeat each A) async throws -> R,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, result: R.self, file: file, line: line,
            .deferred { peer, arguments in
                let values = (repeat try arguments.next((each A).self))
                return {
                    let result = try await body(peer, repeat each values)
                    return { try result.encode(into: &$0) }
                }
            })
    }

    /// Registers an asynchronous method that takes the calling peer and has no result; see
    /// `RPCMethodRegistry`.
    public func register<each A: MessagePackDecodable>(
        _ name: String,
        _ body: nonisolated(nonsending) @escaping (RPCPeer, repeat each A) async throws -> Void,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, file: file, line: line,
            .deferred { peer, arguments in
                let values = (repeat try arguments.next((each A).self))
                return {
                    try await body(peer, repeat each values)
                    return { $0.writeNil() }
                }
            })
    }
}
