// Unsafe: `Unmanaged`. The thread-local word holds the loop's executor unretained, for the thread
// check; the loop itself hangs on the executor's `loop`, unowned. A loop clears the word before it
// goes away (`IOLoop.release`), so neither outlives what it points to.

internal import CUpdraft

/// The calling thread's current loop.
enum CurrentLoop {
    static func get() -> IOLoop? {
        guard let word = cu_current_loop() else { return nil }
        return Unmanaged<LoopExecutor>.fromOpaque(word).takeUnretainedValue().loop
    }

    static func set(_ loop: IOLoop?) {
        guard let loop else { return cu_set_current_loop(nil) }
        cu_set_current_loop(Unmanaged.passUnretained(loop.executor).toOpaque())
    }
}
