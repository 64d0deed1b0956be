internal import MessagePack

/// Writes the frames of messages around what the caller writes.
enum RPCWire {
    static func request(
        _ id: UInt32, _ method: String, count: Int, into writer: inout MessagePackWriter,
        _ arguments: (inout MessagePackWriter) throws -> Void
    ) throws {
        writer.writeArrayHeader(4)
        writer.write(0)
        writer.write(id)
        try call(method, count, into: &writer, arguments)
    }

    static func notification(
        _ method: String, count: Int, into writer: inout MessagePackWriter,
        _ arguments: (inout MessagePackWriter) throws -> Void
    ) throws {
        writer.writeArrayHeader(3)
        writer.write(2)
        try call(method, count, into: &writer, arguments)
    }

    /// What a result follows.
    @inline(__always)
    static func resultHead(_ id: UInt32, into writer: inout MessagePackWriter) {
        writer.writeArrayHeader(4)
        writer.write(1)
        writer.write(id)
        writer.writeNil()
    }

    static func error(_ id: UInt32, _ text: String, into writer: inout MessagePackWriter) {
        writer.writeArrayHeader(4)
        writer.write(1)
        writer.write(id)
        writer.write(text)
        writer.writeNil()
    }

    private static func call(
        _ method: String, _ count: Int, into writer: inout MessagePackWriter,
        _ arguments: (inout MessagePackWriter) throws -> Void
    ) throws {
        writer.write(method)
        writer.writeArrayHeader(count)
        // The peer counts the arrays of the message and of its arguments as nesting too.
        try writer.nested { writer in try writer.nested { writer in try arguments(&writer) } }
    }
}
