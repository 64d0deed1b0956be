internal import CUpdraft

/// The three standard descriptors of a program that is about to be started, and our ends of the
/// pipes among them.
struct StandardDescriptors {
    private(set) var passed: [SpawnRequest.Descriptor] = []
    private(set) var streams: [IOStream?] = [nil, nil, nil]
    /// The program's ends of pipes, which this process closes when the program has them.
    private var programEnds: [Int32] = []

    /// - Throws: `SystemError` if no descriptors are left; `SubprocessError` if `.standardOutput`
    ///   is not standard error's. Nothing stays open then.
    init(
        stdin: Subprocess.Redirection, stdout: Subprocess.Redirection,
        stderr: Subprocess.Redirection, loop: IOLoop, options: StreamOptions
    ) throws {
        do {
            for (child, redirection) in [stdin, stdout, stderr].enumerated() {
                try add(Int32(child), redirection, loop, options)
            }
        } catch {
            closeProgramEnds()
            abortStreams()
            throw error
        }
    }

    /// To be called when the program has been started, and when it has not.
    mutating func closeProgramEnds() {
        for end in programEnds { _ = cu_close(end) }
        programEnds = []
    }

    func abortStreams() {
        for stream in streams { stream?.abort() }
    }

    private mutating func add(
        _ child: Int32, _ redirection: Subprocess.Redirection, _ loop: IOLoop,
        _ options: StreamOptions
    ) throws {
        switch redirection {
        case .stream: try addPipe(child, loop, options)
        case .inherit: pass(child, as: child)
        case .null: break
        case .descriptor(let descriptor): pass(descriptor, as: child)
        case .standardOutput:
            guard child == 2 else {
                throw SubprocessError(
                    .invalidArgument, "Only standard error can be sent to where output goes.")
            }
            // Without one, both are the null device.
            if let output = passed.first(where: { $0.child == 1 }) {
                pass(output.parent, as: child)
            }
        }
    }

    private mutating func pass(_ parent: Int32, as child: Int32) {
        passed.append(SpawnRequest.Descriptor(parent, as: child))
    }

    private mutating func addPipe(
        _ child: Int32, _ loop: IOLoop, _ options: StreamOptions
    ) throws {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(cu_spawn_pipe(&ends), "pipe")
        let isInput = child == 0
        let (own, other) = isInput ? (ends[1], ends[0]) : (ends[0], ends[1])
        programEnds.append(other)
        do {
            streams[Int(child)] =
                isInput
                ? try IOStream(writingPipe: own, loop: loop, options: options)
                : try IOStream(readingPipe: own, loop: loop, options: options)
        } catch {
            _ = cu_close(own)
            throw error
        }
        pass(other, as: child)
    }
}
