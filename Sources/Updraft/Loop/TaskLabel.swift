/// What a scope's subject says of its task in `IOLoop.dump`.
protocol TaskSubject: AnyObject {
    /// As in `task 'reader'`.
    var taskDescription: String { get }

    /// What it has yet to do, for people.
    var taskDetail: String? { get }

    /// What the watchdog calls it; nil if it has no name.
    var taskName: TaskName? { get }
}

extension TaskSubject {
    var taskDetail: String? { nil }
}

/// The other end of a connection, which the layer above knows by its address.
protocol Peer: Sendable, CustomStringConvertible {}

/// The name of a task, in a form that costs nothing to make; its text is made where it is wanted.
enum TaskName: Sendable {
    case given(String)
    /// A server's, of the connection to a peer; the clients of Unix sockets have no names.
    case connection((any Peer)?)

    /// As in `task 'reader'`.
    var description: String {
        switch self {
        case .given(let name):
            return "task '\(name)'"
        case .connection(let address):
            let peer = address.map { "\($0)" } ?? ""
            return peer.isEmpty ? "connection" : "connection from \(peer)"
        }
    }
}

/// The subject of a task that is about nothing else: its name.
final class TaskLabel: TaskSubject, Sendable {
    private let text: String
    private let isName: Bool

    private static let unnamed = TaskLabel("task without a name", isName: false)
    static let group = TaskLabel("group", isName: false)

    private init(_ text: String, isName: Bool) {
        self.text = text
        self.isName = isName
    }

    var taskName: TaskName? { isName ? .given(text) : nil }
    var taskDescription: String { taskName?.description ?? text }

    /// One object for all tasks without a name.
    static func of(_ name: String?) -> TaskLabel {
        name.map { TaskLabel($0, isName: true) } ?? unnamed
    }

    static func describe(_ name: String?) -> String {
        of(name).taskDescription
    }
}
