/// What a task waits for, in `IOLoop.dump`.
package enum WaitPurpose: UInt8, Sendable, CustomStringConvertible {
    case other
    case time
    case turn
    case bytes
    case datagram
    case sending
    case closing
    case descriptor
    case connections
    case connecting
    case signal
    case tasks
    case blockingWork
    case offLoop
    case line
    case reply
    case handshake
    case shutdown
    case child

    /// As in "waits for …".
    package var description: String {
        switch self {
        case .other: "something"
        case .time: "a time"
        case .turn: "its next turn"
        case .bytes: "bytes"
        case .datagram: "a datagram"
        case .sending: "its bytes to be sent"
        case .closing: "a stream to be closed"
        case .descriptor: "a descriptor to be ready"
        case .connections: "connections"
        case .connecting: "a connection to be made"
        case .signal: "a signal"
        case .tasks: "other tasks to end"
        case .blockingWork: "blocking work on a pool"
        case .offLoop: "work off the loop"
        case .line: "a lock, an event or a queue"
        case .reply: "a reply"
        case .handshake: "a TLS handshake"
        case .shutdown: "the shutdown"
        case .child: "a program to end"
        }
    }
}
