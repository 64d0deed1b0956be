/// An actor that lives on a loop: its methods run on the loop's thread, and calls from that loop's
/// tasks do not leave it.
///
/// ```swift
/// actor Board: LoopBound {
///     nonisolated let loopExecutor = LoopExecutor.ofThisThread
/// }
/// ```
///
/// Make the actor on the loop's thread. Plain classes need none of this: they are simply used from
/// one loop.
public protocol LoopBound: Actor {
    /// The executor of the loop that the actor lives on.
    nonisolated var loopExecutor: LoopExecutor { get }
}

extension LoopBound {
    /// The loop's executor, in the form that the language asks for.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        loopExecutor.asUnownedSerialExecutor()
    }
}
