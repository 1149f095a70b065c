// ROWS x COLUMNS processing elements. Everything at the left edge is given for row 0, everything at the top for column 0: row r and
// column c take it r and c cycles later. Only the sums come skewed, because the banks of the accumulators work skewed.
module systolic_array #(
  parameter ROWS = 4,
  parameter COLUMNS = 4,
  parameter WEIGHT_ROWS = 1,
  parameter WIDTH = 32,
  parameter ROW_BITS = 8
) (
  input clk,
  input output_stationary,
  // Left edge: a word for each row.
  input [ROWS*WIDTH-1:0] x,
  input valid, first, last,
  // Top edge: WEIGHT_ROWS rows of weights a cycle, each with the row it is for. Lane 0 carries w of output-stationary.
  input [WEIGHT_ROWS*COLUMNS*WIDTH-1:0] weights,
  input [WEIGHT_ROWS-1:0] weights_valid,
  input [WEIGHT_ROWS*ROW_BITS-1:0] weights_row,
  // Top edge: sums, skewed; whether they are preloaded, and into which row.
  input [COLUMNS*WIDTH-1:0] sums,
  input preload,
  input [ROW_BITS-1:0] preload_row,
  // Skewed: the sums that have left each column, at the bottom or through the drain registers at the top. This is the input register of the
  // accumulators.
  output [COLUMNS*WIDTH-1:0] leaving
);
  localparam LANE = 1 + ROW_BITS + WIDTH;

  // The dataflow in which the input register of the accumulators was filled.
  reg filled_output_stationary;
  always @(posedge clk) filled_output_stationary <= output_stationary;

  genvar r, c, j;
  generate
    for (c = 0; c < COLUMNS; c = c + 1) begin : column
      // What moves down: into each row, and out of the last one.
      wire [WEIGHT_ROWS*LANE-1:0] lanes [0:ROWS-1];
      wire [WIDTH-1:0] sum [0:ROWS];
      wire [ROW_BITS:0] preloads [0:ROWS];
      // What moves up: out of each row.
      wire [WIDTH-1:0] drain [0:ROWS];

      wire [WEIGHT_ROWS*LANE-1:0] entering;
      for (j = 0; j < WEIGHT_ROWS; j = j + 1) begin : lane
        assign entering[j*LANE +: LANE] = {weights_valid[j], weights_row[j*ROW_BITS +: ROW_BITS], weights[(j*COLUMNS+c)*WIDTH +: WIDTH]};
      end
      delay #(.CYCLES(c), .WIDTH(WEIGHT_ROWS * LANE)) delay_weights(.clk(clk), .in(entering), .out(lanes[0]));
      delay #(.CYCLES(c), .WIDTH(1 + ROW_BITS)) delay_preload(.clk(clk), .in({preload, preload_row}), .out(preloads[0]));
      assign sum[0] = sums[c*WIDTH +: WIDTH];
      for (r = 1; r < ROWS; r = r + 1) begin : below
        delay #(.CYCLES(1), .WIDTH(WEIGHT_ROWS * LANE)) delay_lanes(.clk(clk), .in(lanes[r-1]), .out(lanes[r]));
      end

      reg [WIDTH-1:0] drained;
      always @(posedge clk) drained <= drain[0];
      assign leaving[c*WIDTH +: WIDTH] = filled_output_stationary ? drained : sum[ROWS];
    end

    for (r = 0; r < ROWS; r = r + 1) begin : row
      // What moves right: into each column, and out of the last one.
      wire [WIDTH-1:0] x_at [0:COLUMNS];
      wire [2:0] control [0:COLUMNS];
      delay #(.CYCLES(r), .WIDTH(WIDTH)) delay_x(.clk(clk), .in(x[r*WIDTH +: WIDTH]), .out(x_at[0]));
      delay #(.CYCLES(r), .WIDTH(3)) delay_control(.clk(clk), .in({valid, first, last}), .out(control[0]));

      for (c = 0; c < COLUMNS; c = c + 1) begin : element
        processing_element #(.ROW(r), .WIDTH(WIDTH), .ROW_BITS(ROW_BITS)) pe(
          .clk(clk), .output_stationary(output_stationary),
          .x(x_at[c]), .control(control[c]), .x_right(x_at[c+1]), .control_right(control[c+1]),
          .weight(column[c].lanes[r][(r%WEIGHT_ROWS)*LANE +: LANE]), .w(column[c].lanes[r][WIDTH-1:0]),
          .sum(column[c].sum[r]), .preload(column[c].preloads[r]), .sum_down(column[c].sum[r+1]), .preload_down(column[c].preloads[r+1]),
          .drain_below(column[c].drain[r+1]), .drain(column[c].drain[r]));
      end
    end
  endgenerate
endmodule
