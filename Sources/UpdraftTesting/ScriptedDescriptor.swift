#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif
public import Updraft

/// A descriptor that is ready for what a test says, when the test says so; for code that waits on
/// descriptors itself, with `addHandler`, `readable` or `writable`.
///
/// ```swift
/// let line = try ScriptedDescriptor(on: loop)
/// line.become(.read, after: .seconds(3))
/// try await loop.readable(line.number)                        // three virtual seconds later
/// ```
///
/// It is a real descriptor, of `/dev/null`, so that its number is nobody else's; only its readiness
/// is made up. The loop has to run in virtual time (`withVirtualLoop`), and keeps it until it is
/// closed or the loop is. Contract row A16.
public final class ScriptedDescriptor {
    /// The descriptor's number, for the loop.
    public let number: Int32

    private let poller: VirtualPoller

    /// A descriptor that is ready for nothing.
    ///
    /// - Parameter loop: One in virtual time.
    /// - Throws: `SystemError` if the system has no descriptor left.
    public init(on loop: IOLoop) throws {
        guard let poller = loop.virtualPoller else {
            Misuse.stop("A scripted descriptor needs a loop in virtual time: see withVirtualLoop.")
        }
        number = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { throw SystemError(errno: errno, operation: "open /dev/null") }
        self.poller = poller
        poller.scripts.open(number)
        poller.scripted[number] = self
    }

    /// Closes the descriptor: as with others, remove its handler before. It is ready for nothing
    /// any more. Does nothing if it was closed before.
    public func close() {
        guard poller.scripted[number] === self else { return }
        poller.scripted[number] = nil
        poller.scripts.close(number)
        _ = Glibc.close(number)
    }

    /// What it is ready for. A handler is called in every turn while this is not empty, as far as
    /// it asked for it (level-triggered, C5); who waits for edges is told once each time that it is
    /// set.
    public var readiness: IOEvents {
        get { poller.scripts.readiness(of: number) }
        set { poller.scripts.set(number, newValue) }
    }

    /// Sets `readiness` later.
    ///
    /// - Parameter delay: Time of the loop's clock, from now. A loop that has nothing else to do
    ///   moves its clock there. Changes for the same moment happen in the order of these calls.
    public func become(_ readiness: IOEvents, after delay: Duration) {
        poller.scripts.set(number, readiness, at: poller.clock.now().advanced(by: delay))
    }
}
