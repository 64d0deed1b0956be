internal import CUpdraft

/// What a thread of a loop was doing at one moment.
struct StackSample {
    let activity: LoopActivity
    /// The address of the running task, or 0.
    let task: UInt64
    /// The last name that tasks had been given by then; see `TaskNames`.
    let names: UInt64
    /// The other end of the connection whose descriptor was ready.
    let readyPeer: cu_address?
    /// What a layer above has said that it runs.
    let work: String?
    private let frames: [UInt64]

    /// The number by which the system knows the calling thread.
    static var thisThread: Int32 { cu_thread_number() }

    /// How long a thread may take to answer; one that can't (in an uninterruptible system call)
    /// must not hold up the monitor.
    private static let patience: Int64 = 1_000_000_000

    /// Interrupts a thread and takes its stack; nil if it has left the turn, or does not answer.
    static func take(of thread: Int32, in pulse: LoopPulse, turn: Int64) -> StackSample? {
        var sample = cu_sample()
        let result = cu_sample_take(thread, pulse.words, turn, patience, &sample)
        guard result == 0 else { return nil }
        let frames = withUnsafeBytes(of: &sample.frames) { bytes in
            Array(bytes.bindMemory(to: UInt64.self).prefix(Int(sample.count)))
        }
        let work = text(&sample.work)
        return StackSample(
            activity: LoopActivity(word: sample.activity), task: sample.task,
            names: sample.names,
            readyPeer: sample.peer.length > 0 ? sample.peer : nil,
            work: work.isEmpty ? nil : work, frames: frames)
    }

    /// The functions on the stack, the innermost first. Reads symbol tables.
    func symbolisedStack() -> [String] {
        frames.enumerated().map { index, address in
            // A return address may be the first of the next function already.
            StackSample.describe(address, within: index == 0 ? address : address - 1)
        }
    }

    private static func describe(_ address: UInt64, within function: UInt64) -> String {
        var symbol = cu_symbol()
        cu_symbolise(function, &symbol)
        let name = text(&symbol.name)
        let module = text(&symbol.module)
        let place = module.isEmpty ? "0x" + String(address, radix: 16) : module
        return name.isEmpty
            ? "\(place) + 0x\(String(symbol.offset, radix: 16))" : "\(name) in \(place)"
    }

    /// The text of a C array that ends with a zero byte.
    private static func text<Array>(_ array: inout Array) -> String {
        withUnsafeBytes(of: &array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
