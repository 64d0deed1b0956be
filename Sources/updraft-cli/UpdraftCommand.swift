import ArgumentParser
import Logging

/// Calls MessagePack-RPC servers from the command line.
@main
struct UpdraftCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "updraft",
        abstract: "Calls MessagePack-RPC servers.",
        discussion: """
            Examples:
              updraft call 127.0.0.1:5700 sum 1 2
              updraft call 127.0.0.1:5700 rank '"ann"'
              updraft methods 127.0.0.1:5700
              updraft notify 127.0.0.1:5700 event '{"level": 3}'

            Exit codes: 0 success; 1 an error answer, or none in time; 2 no connection; 64 usage.
            """,
        version: "0.1.0",
        subcommands: [CallCommand.self, MethodsCommand.self, NotifyCommand.self])

    static func main() {
        // What goes wrong with the one connection is printed; nothing else is of interest.
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        Self.main(nil)
    }
}
