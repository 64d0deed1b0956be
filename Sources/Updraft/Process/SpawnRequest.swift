// Unsafe: lends C strings to one call of the system, out of arrays that live as long as it does.

internal import CUpdraft

/// A program to start, and all that it gets of this process.
package struct SpawnRequest {
    /// A descriptor of this process and the number it gets in the program.
    package struct Descriptor: Hashable, Sendable {
        let parent: Int32
        let child: Int32

        package init(_ parent: Int32, as child: Int32) {
            self.parent = parent
            self.child = child
        }
    }

    /// The program's file, with a slash; not looked up.
    package var path: String

    /// All of `argv`: the first is the name that the program sees of itself.
    package var arguments: [String]

    /// As name=value; this process's own by default.
    package var environment: [String]

    /// Nil for this process's own.
    package var workingDirectory: String?

    /// No other descriptor is passed on, whether it is close-on-exec or not. What is missing of 0,
    /// 1 and 2 is the null device.
    package var descriptors: [Descriptor] = []

    package var group = Subprocess.Group.shared

    /// What the program gets when the *thread* that starts it ends, with the process or before it.
    /// Linux only; elsewhere the start fails. A program that changes its user loses it.
    package var deathSignal: Signal?

    package init(path: String, arguments: [String], environment: [String]? = nil) {
        self.path = path
        self.arguments = arguments
        self.environment = environment ?? SpawnRequest.currentEnvironment
    }

    /// The environment of this process, as name=value.
    package static var currentEnvironment: [String] {
        guard var entry = cu_environment() else { return [] }
        var found: [String] = []
        while let text = entry.pointee {
            found.append(String(cString: text))
            entry += 1
        }
        return found
    }

    /// Starts the program and returns when it has begun. Blocks for about a millisecond.
    ///
    /// The caller has to reap it: see `ChildProcess`.
    ///
    /// - Returns: The child's pid.
    /// - Throws: `SubprocessError`.
    func start() throws -> Int32 {
        try checkTexts()
        AbandonedChildren.collect()
        var failedAt: Int32 = 0
        let result = withCStrings(arguments) { argv in
            withCStrings(environment) { envp in
                withDescriptors { list in
                    path.withCString { path in
                        withOptionalCString(workingDirectory) { directory in
                            var program = cu_spawn_program(
                                path: path, argv: argv, envp: envp, directory: directory,
                                descriptors: list.baseAddress,
                                descriptor_count: Int32(list.count), flags: flags,
                                death_signal: deathSignal?.number ?? 0)
                            return cu_spawn(&program, &failedAt)
                        }
                    }
                }
            }
        }
        if result < 0 { throw failure(errno: result, at: failedAt) }
        return result
    }

    private var flags: Int32 {
        switch group {
        case .shared: 0
        case .own: Int32(CU_SPAWN_NEW_GROUP)
        case .ownSession: Int32(CU_SPAWN_NEW_SESSION)
        }
    }

    /// A C string ends at its first NUL: what follows would silently be lost.
    private func checkTexts() throws {
        let texts = [path, workingDirectory ?? ""] + arguments + environment
        if let bad = texts.first(where: { $0.utf8.contains(0) }) {
            let shown = bad.prefix { $0 != "\0" }
            throw SubprocessError(
                .invalidArgument,
                "'\(path.prefix { $0 != "\0" })' was to be started with a text that has a NUL "
                    + "after '\(shown)'.")
        }
    }

    private func failure(errno: Int32, at step: Int32) -> SubprocessError {
        switch Int(step) {
        case Int(CU_SPAWN_AT_PROGRAM):
            let cause = SystemError(errno: errno, operation: "execute \(path)")
            switch cause.errno {
            case cu_enoent:
                return SubprocessError(
                    .programNotFound,
                    "There is no program '\(path)', or not the interpreter that it names.",
                    cause: cause)
            case cu_eacces, cu_enoexec:
                return SubprocessError(
                    .notExecutable, "'\(path)' can't be executed.", cause: cause)
            default:
                return SubprocessError(
                    .cannotStart, "'\(path)' could not be started.", cause: cause)
            }
        case Int(CU_SPAWN_AT_DIRECTORY):
            return cannotStart(errno, "enter the directory \(workingDirectory ?? "")")
        case Int(CU_SPAWN_AT_DESCRIPTORS): return cannotStart(errno, "pass its descriptors on")
        case Int(CU_SPAWN_AT_SESSION): return cannotStart(errno, "make its session")
        case Int(CU_SPAWN_AT_DEATH_SIGNAL): return cannotStart(errno, "set its death signal")
        default: return cannotStart(errno, "make a process")
        }
    }

    private func cannotStart(_ errno: Int32, _ operation: String) -> SubprocessError {
        SubprocessError(
            .cannotStart, "'\(path)' could not be started.",
            cause: SystemError(errno: errno, operation: operation))
    }

    private func withDescriptors<R>(
        _ body: (UnsafeBufferPointer<cu_spawn_descriptor>) -> R
    ) -> R {
        descriptors.map { cu_spawn_descriptor(parent: $0.parent, child: $0.child) }
            .withUnsafeBufferPointer(body)
    }
}

private func withOptionalCString<R>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> R
) -> R {
    guard let text else { return body(nil) }
    return text.withCString(body)
}

/// The strings as C has them: an array of pointers that ends with NULL.
private func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> R
) -> R {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
        offsets.append(bytes.count)
        bytes.append(contentsOf: string.utf8CString)
    }
    return bytes.withUnsafeMutableBufferPointer { bytes in
        let pointers = offsets.map { offset in bytes.baseAddress.map { $0 + offset } } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
}
