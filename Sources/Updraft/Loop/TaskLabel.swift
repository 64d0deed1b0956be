/// What a scope's subject says of its task in `IOLoop.dump`.
protocol TaskSubject: AnyObject {
    /// As in `task 'reader'`.
    var taskDescription: String { get }

    /// What it has yet to do, for people.
    var taskDetail: String? { get }
}

extension TaskSubject {
    var taskDetail: String? { nil }
}

/// The subject of a task that is about nothing else: its name.
final class TaskLabel: TaskSubject, Sendable {
    let taskDescription: String

    private static let unnamed = TaskLabel(describe(nil))
    static let group = TaskLabel("group")

    private init(_ description: String) {
        taskDescription = description
    }

    /// One object for all tasks without a name.
    static func of(_ name: String?) -> TaskLabel {
        name == nil ? unnamed : TaskLabel(describe(name))
    }

    static func describe(_ name: String?) -> String {
        name.map { "task '\($0)'" } ?? "task without a name"
    }
}
