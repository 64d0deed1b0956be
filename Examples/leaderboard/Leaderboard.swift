import ArgumentParser
import LeaderboardCore
import Logging
import Updraft

/// A small game server: the program that shows what Updraft is for.
@main
struct Leaderboard: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leaderboard",
        abstract: "Serves a leaderboard over MessagePack-RPC until SIGTERM or SIGINT.",
        discussion: """
            Methods:
              sum(x, y)      adds two integers
              login(uid)     names this connection; an older one of that name is closed
              submit(score)  keeps the player's best score; returns the rank once written
              top(n)         the best n players as [uid, score]; \(Game.topMax) at most
              rank(uid)      from 1, equal scores share the better one; nil if none
              stats()        players, online, calls, overtakenAcked, uptimeSeconds

            The server calls overtaken(byUid, theirScore, yourRank) on a player who is online when \
            somebody passes them, and waits for the answer for 2 seconds.

            Prints 'listening on HOST:PORT' when it is ready; what happens is logged to standard \
            error. On SIGTERM or SIGINT it answers what is in flight, syncs its file and exits \
            within 5 seconds, with 0 if nothing had to be cut; a second signal ends it at once.
            """)

    @Option(help: "The numeric address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 picks a free one.")
    var port = 5_700

    @Option(help: ArgumentHelp("The folder of the scores; made if need be.", valueName: "dir"))
    var data = "./leaderboard-data"

    @Option(help: "Event loops. Only 1 for now: the players and scores live on one loop.")
    var loops = 1

    func validate() throws {
        guard (0...65_535).contains(port) else {
            throw ValidationError("The port must be between 0 and 65535, not \(port).")
        }
        if host.isEmpty {
            throw ValidationError("--host needs an address; 0.0.0.0 and :: are all.")
        }
        guard loops == 1 else {
            throw ValidationError(
                "--loops must be 1, not \(loops): the players and scores live on one loop.")
        }
        guard !data.isEmpty else { throw ValidationError("--data needs the name of a folder.") }
    }

    func run() throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let service = Service(host: host, port: port, folder: data)
        do {
            try IOLoop.run { loop in try await service.run(on: loop) }
        } catch {
            StandardOutput.complain("leaderboard: \(error)")
            throw ExitCode(1)
        }
    }
}
