#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif
internal import Updraft

/// The scripted descriptors of a poller: what each is ready for and will be, and who watches it.
struct DescriptorScripts {
    private struct Registration {
        var events: IOEvents
        var mode: PollMode
        var token: UInt64
        /// For edges: what is to be reported.
        var fresh: IOEvents
    }

    private struct Script {
        var readiness: IOEvents = []
        var registration: Registration?
    }

    private struct Change {
        let descriptor: Int32
        let readiness: IOEvents
        let instant: LoopInstant
    }

    private var scripts: [Int32: Script] = [:]
    /// Who is looked at first: a batch that was full starves nobody.
    private var order: [Int32] = []
    /// By instant, and in the order in which they were scripted.
    private var changes: [Change] = []

    /// When the next scripted change is due.
    var nextChange: LoopInstant? { changes.first?.instant }

    // MARK: The test's side

    mutating func open(_ descriptor: Int32) {
        scripts[descriptor] = Script()
        order.append(descriptor)
    }

    mutating func close(_ descriptor: Int32) {
        scripts[descriptor] = nil
        order.removeAll { $0 == descriptor }
        changes.removeAll { $0.descriptor == descriptor }
    }

    func readiness(of descriptor: Int32) -> IOEvents {
        scripts[descriptor]?.readiness ?? []
    }

    mutating func set(_ descriptor: Int32, _ readiness: IOEvents) {
        scripts[descriptor]?.readiness = readiness
        scripts[descriptor]?.registration?.fresh = readiness
    }

    mutating func set(_ descriptor: Int32, _ readiness: IOEvents, at instant: LoopInstant) {
        let place = changes.firstIndex { instant < $0.instant } ?? changes.endIndex
        let change = Change(descriptor: descriptor, readiness: readiness, instant: instant)
        changes.insert(change, at: place)
    }

    // MARK: The poller's side: false for descriptors that are not scripted

    mutating func add(
        _ descriptor: Int32, _ events: IOEvents, _ mode: PollMode, _ token: UInt64
    ) throws(SystemError) -> Bool {
        guard let script = scripts[descriptor] else { return false }
        if script.registration != nil {
            throw SystemError(errno: EEXIST, operation: "watch descriptor \(descriptor)")
        }
        watch(descriptor, events, mode, token)
        return true
    }

    mutating func modify(
        _ descriptor: Int32, _ events: IOEvents, _ mode: PollMode, _ token: UInt64
    ) throws(SystemError) -> Bool {
        guard try isWatched(descriptor, "change what descriptor \(descriptor) is watched for")
        else { return false }
        watch(descriptor, events, mode, token)
        return true
    }

    mutating func remove(_ descriptor: Int32) throws(SystemError) -> Bool {
        guard try isWatched(descriptor, "unwatch descriptor \(descriptor)") else { return false }
        scripts[descriptor]?.registration = nil
        return true
    }

    mutating func rearm(_ descriptor: Int32, _ events: IOEvents) -> Bool {
        guard let script = scripts[descriptor] else { return false }
        scripts[descriptor]?.registration?.fresh.formUnion(script.readiness.intersection(events))
        return true
    }

    /// Makes the changes that are due, and says what is ready then.
    mutating func ready(at now: LoopInstant, countMax: Int) -> [PollEvent] {
        while let change = changes.first, change.instant <= now {
            changes.removeFirst()
            set(change.descriptor, change.readiness)
        }
        var events: [PollEvent] = []
        var reported: Set<Int32> = []
        for descriptor in order where events.count < countMax {
            guard let event = takeEvent(of: descriptor) else { continue }
            events.append(event)
            reported.insert(descriptor)
        }
        order = order.filter { !reported.contains($0) } + order.filter(reported.contains)
        return events
    }

    private func isWatched(_ descriptor: Int32, _ operation: String) throws(SystemError) -> Bool {
        guard let script = scripts[descriptor] else { return false }
        if script.registration == nil { throw SystemError(errno: ENOENT, operation: operation) }
        return true
    }

    private mutating func watch(
        _ descriptor: Int32, _ events: IOEvents, _ mode: PollMode, _ token: UInt64
    ) {
        let fresh = readiness(of: descriptor)
        scripts[descriptor]?.registration = Registration(
            events: events, mode: mode, token: token, fresh: fresh)
    }

    private mutating func takeEvent(of descriptor: Int32) -> PollEvent? {
        guard let script = scripts[descriptor], let registration = script.registration else {
            return nil
        }
        let current = registration.mode == .edge ? registration.fresh : script.readiness
        let found = current.intersection(registration.events.union(.error))
        if found.isEmpty { return nil }
        scripts[descriptor]?.registration?.fresh.subtract(found)
        return PollEvent(token: registration.token, events: found)
    }
}
