internal import MessagePack

/// One complete message, taken apart without copying: valid as long as its bytes are.
///
/// `[0, id, method, arguments]`, `[1, id, error, result]` and `[2, method, arguments]`.
enum RPCMessage {
    /// The reader stands before the first of `count` arguments.
    case request(
        id: UInt32, method: UnsafeRawBufferPointer, count: Int, arguments: MessagePackReader)
    /// The payload is the error, which the result follows.
    case response(id: UInt32, payload: UnsafeRawBufferPointer)
    /// The reader stands before the first of `count` arguments.
    case notification(method: UnsafeRawBufferPointer, count: Int, arguments: MessagePackReader)
    /// A response that can't belong to a call of ours.
    case strayResponse
    /// A notification that makes no sense; nobody is told.
    case invalidNotification(String)
    /// Anything else that makes no sense. The sender is told, under the id if it had one.
    case invalid(id: UInt32, String)
    /// No array at all.
    case noArray(String)

    private enum Kind: UInt8 {
        case request = 0
        case response = 1
        case notification = 2

        var size: Int { self == .notification ? 3 : 4 }

        var name: String {
            switch self {
            case .request: "a request"
            case .response: "a response"
            case .notification: "a notification"
            }
        }
    }

    /// Takes a message apart.
    ///
    /// - Parameter bytes: One value that the scanner has found to be complete.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) {
        var reader = MessagePackReader(bytes)
        do throws(MessagePackError) {
            guard try reader.peekType() == .array else {
                self = .noArray("a message must be an array, not \(try reader.peekType())")
                return
            }
            let size = try reader.readArrayHeader()
            guard size > 0 else {
                self = .invalid(id: 0, "a message must be an array of 3 or 4 elements, not empty")
                return
            }
            guard let kind = RPCMessage.kind(&reader) else {
                self = .invalid(
                    id: 0, "unknown message type \(RPCMessage.show(&reader)), expected 0, 1 or 2")
                return
            }
            guard size == kind.size else {
                self = RPCMessage.wrongSize(kind, size, &reader)
                return
            }
            switch kind {
            case .request: self = try RPCMessage.request(&reader)
            case .response: self = RPCMessage.response(&reader, bytes)
            case .notification: self = try RPCMessage.notification(&reader)
            }
        } catch {
            self = .invalid(id: 0, error.message)
        }
    }

    @inline(__always)
    private static func kind(_ reader: inout MessagePackReader) -> Kind? {
        let start = reader
        guard let code = try? reader.read(UInt8.self), let kind = Kind(rawValue: code) else {
            reader = start
            return nil
        }
        return kind
    }

    @inline(__always)
    private static func request(
        _ reader: inout MessagePackReader
    ) throws(MessagePackError) -> RPCMessage {
        guard let id = id(&reader) else {
            return .invalid(
                id: 0,
                "the request id must be an integer from 0 to \(UInt32.max), "
                    + "not \(show(&reader))")
        }
        guard isName(try reader.peekType()) else {
            return .invalid(
                id: id, "the method name must be a string, not \(try reader.peekType())")
        }
        let method = try reader.readStringBytes()
        guard try reader.peekType() == .array else {
            return .invalid(
                id: id, "the arguments must be in an array, not \(try reader.peekType())")
        }
        let count = try reader.readArrayHeader()
        return .request(id: id, method: method, count: count, arguments: reader)
    }

    @inline(__always)
    private static func response(
        _ reader: inout MessagePackReader, _ bytes: UnsafeRawBufferPointer
    ) -> RPCMessage {
        guard let id = id(&reader) else { return .strayResponse }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[reader.position...])
        return .response(id: id, payload: payload)
    }

    private static func notification(
        _ reader: inout MessagePackReader
    ) throws(MessagePackError) -> RPCMessage {
        guard isName(try reader.peekType()) else {
            return .invalidNotification(
                "the method name must be a string, not \(try reader.peekType())")
        }
        let method = try reader.readStringBytes()
        guard try reader.peekType() == .array else {
            return .invalidNotification(
                "the arguments must be in an array, not \(try reader.peekType())")
        }
        let count = try reader.readArrayHeader()
        return .notification(method: method, count: count, arguments: reader)
    }

    private static func wrongSize(
        _ kind: Kind, _ size: Int, _ reader: inout MessagePackReader
    ) -> RPCMessage {
        let text = "\(kind.name) must be an array of \(kind.size) elements, not of \(size)"
        // Told for notifications too: an array of another size is none.
        let sender = kind == .request ? id(&reader) : nil
        return .invalid(id: sender ?? 0, text)
    }

    /// The id, or nil with the reader still before it.
    @inline(__always)
    private static func id(_ reader: inout MessagePackReader) -> UInt32? {
        let start = reader
        if let id = try? reader.read(UInt32.self) { return id }
        reader = start
        return nil
    }

    /// Old peers send names as binary data.
    private static func isName(_ type: MessagePackType) -> Bool {
        type == .string || type == .binary
    }

    /// The next value in words: a number as it is, of others the type.
    private static func show(_ reader: inout MessagePackReader) -> String {
        if let number = try? reader.read(Int64.self) { return "\(number)" }
        if let number = try? reader.read(UInt64.self) { return "\(number)" }
        guard let type = try? reader.peekType() else { return "nothing" }
        return type.description
    }
}
