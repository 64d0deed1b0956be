internal import CUpdraft

/// Finds a program's file, as a shell does.
enum ProgramLookup {
    /// Where to look if the environment has no PATH.
    private static let defaultPath = "/usr/local/bin:/usr/bin:/bin"

    /// A name with a slash is taken as it is. Others are looked for in the folders of PATH. Those
    /// that are not absolute are left out, the empty entry with them, which for a shell is the
    /// working directory: the program may be started in another one than this process is in.
    ///
    /// - Throws: `SubprocessError` with `.programNotFound`, or with `.notExecutable` if only files
    ///   of that name are there which this process may not execute.
    static func find(_ program: String, in environment: [String: String]) throws -> String {
        if program.contains("/") { return program }
        let path = environment["PATH"] ?? defaultPath
        var refused: String?
        if !program.isEmpty {
            for folder in path.split(separator: ":") where folder.hasPrefix("/") {
                let candidate = "\(folder)/\(program)"
                let result = cu_executable_check(candidate)
                if result == 0 { return candidate }
                if result == -cu_eacces { refused = candidate }
            }
        }
        if let refused {
            throw SubprocessError(.notExecutable, "'\(refused)' can't be executed.")
        }
        throw SubprocessError(
            .programNotFound, "There is no program '\(program)' in the PATH \(path).")
    }
}
