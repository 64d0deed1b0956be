public import MessagePack

/// A type that can be a method's parameter or a call's result.
public typealias RPCDecodable = MessagePackDecodable

/// A type that can be a method's result or a call's argument.
public typealias RPCEncodable = MessagePackEncodable

/// Reads a request's arguments, one after the other, from the bytes they came in.
struct RPCArguments {
    private var reader: MessagePackReader
    private var position = 0

    /// Takes over a reader that stands before the first argument.
    init(_ reader: MessagePackReader) {
        self.reader = reader
    }

    /// The next argument.
    ///
    /// - Throws: `RPCArgumentError` with the position and what was found in place of `type`.
    mutating func next<Value: MessagePackDecodable>(_ type: Value.Type) throws -> Value {
        position += 1
        do {
            return try Value.decode(from: &reader)
        } catch {
            throw RPCArgumentError(position: position, error)
        }
    }
}

/// A request's argument is not what the method takes.
struct RPCArgumentError: Error {
    let position: Int
    let reason: String

    @inline(never)
    init(position: Int, _ error: any Error) {
        self.position = position
        switch error {
        case let error as MessagePackError: reason = error.message
        case let error as any RPCReportableError: reason = error.rpcMessage
        default: reason = "it can't be read"
        }
    }
}
