// Unsafe: the name's bytes belong to the object, from `init` to `deinit`. Whoever runs the work
// keeps the object alive; only a signal handler on the loop's own thread reads them meanwhile.

/// The name of something that runs at once in a turn, such as an RPC method, for the watchdog.
package final class WorkName {
    fileprivate let bytes: UnsafeMutablePointer<CChar>

    /// - Parameter name: The watchdog shows its first 127 bytes.
    package init(_ name: String) {
        let text = name.utf8CString
        bytes = .allocate(capacity: text.count)
        for (index, byte) in text.enumerated() { (bytes + index).initialize(to: byte) }
    }

    deinit {
        bytes.deallocate()
    }
}

/// The name that is in the way of a nested one.
package struct OuterWork {
    fileprivate let bytes: UnsafePointer<CChar>?
}

extension IOLoop {
    /// What runs from here to `endWork` has a name: two stores in all.
    package func beginWork(_ name: WorkName) -> OuterWork {
        OuterWork(bytes: pulse.setWork(name.bytes))
    }

    /// - Parameter name: The same as at the beginning, which so lives until here.
    package func endWork(_ name: WorkName, _ outer: OuterWork) {
        withExtendedLifetime(name) { _ = pulse.setWork(outer.bytes) }
    }
}
