internal import CUpdraft

/// Stops the program with a sentence that names a programming mistake.
///
/// `precondition` prints nothing in optimised builds, and these checks stay on there.
package enum Misuse {
    /// Something that belongs to a loop was used on another thread.
    @inline(never)
    package static func wrongThread(_ what: String) -> Never {
        stop(
            "\(what) was used outside its loop's thread. Everything on a loop belongs to that "
                + "loop's thread; from elsewhere use loop.remote.addCallback { ... }, and inside "
                + "the loop start tasks with loop.spawn, loop.async or loop.group instead of "
                + "Task { } or Task.detached { }.")
    }

    /// A loop was used in a child of its process (contract row A17).
    @inline(never)
    package static func forked(_ what: String) -> Never {
        stop(
            "\(what) was used in a child made by fork. The child shares the loop's descriptors "
                + "with its parent, and either would take the other's events. Make a new loop in "
                + "the child; to run several processes, start the program anew for each.")
    }

    /// Writes the sentence to standard error, then traps.
    @inline(never)
    package static func stop(_ message: String) -> Never {
        var line = "Updraft: \(message)\n"
        line.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { cu_die($0.baseAddress, $0.count) }
        }
        // `cu_die` never returns; the compiler does not know it through the closure.
        while true {}
    }
}
