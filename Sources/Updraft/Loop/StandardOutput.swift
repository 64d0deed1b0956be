internal import CUpdraft

/// Standard output of programs that others read through a pipe.
public enum StandardOutput {
    /// Writes a line at once, so that whoever started the program sees it. `print` holds it back
    /// when the output is a pipe.
    public static func announce(_ line: String) {
        write(line, to: cu_write_stdout)
    }

    /// Writes a line to standard error.
    public static func complain(_ line: String) {
        write(line, to: cu_write_stderr)
    }

    private static func write(_ line: String, to output: (UnsafePointer<CChar>?, Int) -> Void) {
        var text = line + "\n"
        text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { output($0.baseAddress, $0.count) }
        }
    }
}
