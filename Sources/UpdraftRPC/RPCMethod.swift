internal import MessagePack
internal import Updraft

/// Where a method was registered.
struct RPCSourcePlace: CustomStringConvertible {
    let file: String
    let line: Int

    var description: String { "\(file):\(line)" }
}

/// One registered method.
final class RPCMethod {
    /// Runs at once and writes its result.
    typealias Immediate = (
        RPCPeer, inout RPCArguments, inout MessagePackWriter
    ) throws -> Void

    /// Reads its arguments at once and returns the rest of the work, for a task to run.
    typealias Deferred = (RPCPeer, inout RPCArguments) throws -> Work

    /// Runs the method and returns what writes its result.
    typealias Work = nonisolated(nonsending) () async throws -> ResultWriter

    typealias ResultWriter = (inout MessagePackWriter) throws -> Void

    enum Body {
        case immediate(Immediate)
        case deferred(Deferred)
    }

    let name: String
    let body: Body
    /// The names of the parameters' Swift types, without the peer.
    let parameters: [String]
    /// The name of the result's Swift type; nil for none.
    let result: String?
    let place: RPCSourcePlace

    /// The name as it comes over the wire.
    let nameBytes: [UInt8]
    /// The name for the watchdog.
    let workName: WorkName
    let arity: Int

    init(
        _ name: String, _ body: Body, parameters: [String], result: String?,
        place: RPCSourcePlace
    ) {
        self.name = name
        self.body = body
        self.parameters = parameters
        self.result = result
        self.place = place
        nameBytes = Array(name.utf8)
        workName = WorkName(name)
        arity = parameters.count
    }

    /// What `rpc.describe` tells of the method.
    var description: MessagePackValue {
        .map([
            .init("name", .string(name)),
            .init("arity", MessagePackValue(arity)),
            .init("parameters", .array(parameters.map(MessagePackValue.string))),
            .init("result", result.map(MessagePackValue.string) ?? .nil),
        ])
    }
}
