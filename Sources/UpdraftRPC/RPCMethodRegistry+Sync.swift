public import MessagePack

extension RPCMethodRegistry {
    /// Registers a synchronous method with a result; see `RPCMethodRegistry`.
    ///
    /// - Parameters:
    ///   - name: What peers call it; must not begin with `rpc.`.
    ///   - body: What it does, on the loop's thread.
    ///   - file: Where it is registered, for the error about a duplicate name.
    ///   - line: The line there.
    public func register<each A: MessagePackDecodable, R: MessagePackEncodable>(
        _ name: String, _ body: @escaping (repeat each A) throws -> R,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, result: R.self, file: file, line: line,
            .immediate { _, arguments, writer in
                try body(repeat try arguments.next((each A).self)).encode(into: &writer)
            })
    }

    /// Registers a synchronous method without a result, which answers nil; see
    /// `RPCMethodRegistry`.
    public func register<each A: MessagePackDecodable>(
        _ name: String, _ body: @escaping (repeat each A) throws -> Void,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, file: file, line: line,
            .immediate { _, arguments, writer in
                try body(repeat try arguments.next((each A).self))
                writer.writeNil()
            })
    }

    /// Registers a synchronous method that takes the calling peer and has a result; see
    /// `RPCMethodRegistry`.
    public func register<each A: MessagePackDecodable, R: MessagePackEncodable>(
        _ name: String, _ body: @escaping (RPCPeer, repeat each A) throws -> R,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, result: R.self, file: file, line: line,
            .immediate { peer, arguments, writer in
                try body(peer, repeat try arguments.next((each A).self)).encode(into: &writer)
            })
    }

    /// Registers a synchronous method that takes the calling peer and has no result; see
    /// `RPCMethodRegistry`.
    public func register<each A: MessagePackDecodable>(
        _ name: String, _ body: @escaping (RPCPeer, repeat each A) throws -> Void,
        file: String = #fileID, line: Int = #line
    ) {
        add(
            name, repeat (each A).self, file: file, line: line,
            .immediate { peer, arguments, writer in
                try body(peer, repeat try arguments.next((each A).self))
                writer.writeNil()
            })
    }
}
