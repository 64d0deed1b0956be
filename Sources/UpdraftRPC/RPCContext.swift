internal import Logging
internal import MessagePack
internal import Updraft

/// What the peers of one server, or the one peer of a client, share.
final class RPCContext {
    let methods: RPCMethods
    let options: RPCOptions

    /// For what a method threw and nobody was told.
    let applicationLog = Logger(label: LoggerLabel.application)

    /// For what peers did wrong.
    let log = Logger(label: LoggerLabel.general)

    private var spareWriter = MessagePackWriter(capacity: 1_024)

    /// A writer that has grown beyond this is not kept, in bytes.
    private static let keptBytesMax = 262_144

    init(methods: RPCMethods, options: RPCOptions) {
        self.methods = methods
        self.options = options
    }

    /// Takes the shared writer out, so that code that runs while it is in use, and writes too,
    /// gets another one.
    @inline(__always)
    func takeWriter() -> MessagePackWriter {
        var writer = MessagePackWriter()
        swap(&writer, &spareWriter)
        return writer
    }

    /// Takes a writer back, empty. By `inout`, because a second reference for a moment would make
    /// emptying it copy its memory.
    @inline(__always)
    func give(_ writer: inout MessagePackWriter) {
        guard writer.count <= RPCContext.keptBytesMax else { return }
        writer.truncate(to: 0)
        swap(&writer, &spareWriter)
    }
}
